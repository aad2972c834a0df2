"""Words on figures: ions typeset, numbers and lengths short, quantities honest."""

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.mathtext import MathTextParser

from ssbmaps.figures._labels import channel_title, ion_label, length_label, number_label, quantity_label
from ssbmaps.figures._style import COUNTS_MAP, LINE_COLOURS, SIGNED_MAP, UNMEASURED, colour_map


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PO3-", r"$\mathrm{PO_{3}^{-}}$"),
        ("PO₃⁻", r"$\mathrm{PO_{3}^{-}}$"),
        ("63Cu+", r"$\mathrm{{}^{63}Cu^{+}}$"),
        ("^34S-", r"$\mathrm{{}^{34}S^{-}}$"),
        ("[18O]2-", r"$\mathrm{{}^{18}O_{2}^{-}}$"),
        ("C[13C]H3-", r"$\mathrm{C{}^{13}CH_{3}^{-}}$"),
        ("SO4^2-", r"$\mathrm{SO_{4}^{2-}}$"),
        ("SO₄²⁻", r"$\mathrm{SO_{4}^{2-}}$"),
        ("C10-", r"$\mathrm{C_{10}^{-}}$"),
        ("Co3O4", r"$\mathrm{Co_{3}O_{4}}$"),
        ("POx", r"$\mathrm{PO}_x$"),
    ],
)
def test_formulas_get_true_sub_and_superscripts(text: str, expected: str) -> None:
    assert ion_label(text) == expected


@pytest.mark.parametrize("text", ["total", "A1g", "D1", "NMC", "KLL", "electrolyte", "", "PO3-/PO2-"])
def test_what_is_no_formula_stays_as_it_is(text: str) -> None:
    assert ion_label(text) == text


@pytest.mark.parametrize("text", ["PO3-", "63Cu+", "SO4^2-", "POx", "[18O]2-", "2 $ a"])
def test_matplotlib_can_typeset_every_label(text: str) -> None:
    MathTextParser("path").parse(ion_label(text))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (250.0, "250"),
        (0.1 + 0.2, "0.3"),
        (-3, "−3"),
        (99999, "99999"),
        (1e5, "$10^{5}$"),
        (2.5e6, r"$2.5\times10^{6}$"),
        (-1e-4, "$-10^{-4}$"),
    ],
)
def test_numbers(value: float, expected: str) -> None:
    assert number_label(value) == expected


@pytest.mark.parametrize(("length", "expected"), [(0.2, "200 nm"), (1.0, "1 µm"), (50.0, "50 µm"), (2000.0, "2 mm")])
def test_lengths(length: float, expected: str) -> None:
    assert length_label(length) == expected


@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ({"units": "counts", "long_name": "counts of fragments"}, "counts per pixel, not concentration"),
        ({"units": "um", "long_name": "distance to NMC"}, "distance to NMC (µm)"),
        ({"units": "1", "long_name": "phase fraction"}, "phase fraction"),
        ({"units": "arbitrary"}, "arbitrary units"),
        ({"long_name": "ratio"}, "ratio, unit not stated"),
        ({}, "unit not stated"),
    ],
)
def test_a_quantity_says_its_unit_or_that_it_has_none(attrs: dict[str, str], expected: str) -> None:
    assert quantity_label(xr.DataArray(np.zeros((2, 3)), dims=("y", "x"), attrs=attrs)) == expected


def test_title_is_the_channel_else_the_name() -> None:
    maps = xr.DataArray(np.zeros((2, 3, 4)), dims=("component", "y", "x"), coords={"component": [1, 2]}, name="abundance")
    assert channel_title(maps.isel(component=1)) == "component 2"
    assert channel_title(maps.isel(component=1, drop=True)) == "abundance"


def _lightness(colour: str) -> float:
    """CIE L* of an sRGB colour (IEC 61966-2-1, D65)."""
    rgb = np.array(mpl.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ [0.2126, 0.7152, 0.0722])
    return 116 * luminance ** (1 / 3) - 16


def test_count_map_rises_in_lightness_and_keeps_clear_of_the_grey() -> None:
    """A perceptually ordered map: lightness never falls; the grey of missing pixels differs from every colour on it."""
    colours = [mpl.colors.to_hex(c) for c in colour_map(COUNTS_MAP)(np.linspace(0, 1, 64))]
    assert np.all(np.diff([_lightness(c) for c in colours]) > 0)
    grey = np.array(mpl.colors.to_rgb(UNMEASURED))
    for name in (COUNTS_MAP, SIGNED_MAP):
        distances = np.linalg.norm(colour_map(name)(np.linspace(0, 1, 256))[:, :3] - grey, axis=1)
        assert distances.min() > 0.15
    assert mpl.colors.to_hex(colour_map(COUNTS_MAP).get_bad()) == UNMEASURED


def test_line_colours_are_dark_enough_for_white_paper() -> None:
    assert max(_lightness(c) for c in LINE_COLOURS) < 75
