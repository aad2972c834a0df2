"""Profiles on figures: the lines, the bands, the interface and the phases beside it."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex

from ssbmaps import SsbmapsError, figures
from ssbmaps.figures._style import LINE_COLOURS


def profile(n: int = 3) -> xr.Dataset:
    """`n` steps of different height at distance 0, bins of 0.1 um from −0.5 to 0.8 um, relative standard error 5 %."""
    distance = np.arange(-0.45, 0.8, 0.1)
    mean = np.array([(i + 1) * np.where(distance < 0, 8.0, 1.0) for i in range(n)])
    names = ["NiO2-", "PO2-", "PO3-", "SO2-", "SO3-", "S-", "Cl-", "C2-", "PS-"][:n]
    return xr.Dataset(
        {
            "mean": (("fragment", "distance"), mean, {"units": "counts"}),
            "sem": (("fragment", "distance"), 0.05 * mean, {"units": "counts"}),
        },
        coords={"fragment": names, "distance": ("distance", distance, {"units": "um"})},
    )


def data_lines(fig: object) -> list:
    return [line for line in fig.axes[0].get_lines() if not line.get_label().startswith("_")]  # type: ignore[attr-defined]


def test_lines_and_bands_are_the_data() -> None:
    given = profile()
    fig = figures.profile_figure(given.transpose("distance", "fragment"))
    for i, (line, band) in enumerate(zip(data_lines(fig), fig.axes[0].collections, strict=True)):
        np.testing.assert_allclose(line.get_xdata(), given["distance"])
        np.testing.assert_allclose(line.get_ydata(), given["mean"][i])
        edges = band.get_paths()[0].vertices
        for x, mean, sem in zip(given["distance"].values, given["mean"].values[i], given["sem"].values[i], strict=True):
            at = edges[np.isclose(edges[:, 0], x), 1]
            assert at.min() == pytest.approx(mean - sem)
            assert at.max() == pytest.approx(mean + sem)
    assert "± 1 standard error" in fig.axes[0].get_ylabel()
    assert "counts per pixel, not concentration" in fig.axes[0].get_ylabel()


def test_nanometres_and_micrometres() -> None:
    given = profile()
    np.testing.assert_allclose(data_lines(figures.profile_figure(given, unit="nm"))[0].get_xdata(), given["distance"] * 1000)
    assert figures.profile_figure(given, unit="nm").axes[0].get_xlabel() == "distance to the interface (nm)"
    assert figures.profile_figure(given).axes[0].get_xlabel() == "distance to the interface (µm)"


def test_the_interface_is_at_zero_with_the_phases_on_their_sides() -> None:
    fig = figures.profile_figure(profile(), inside="NMC", outside="electrolyte")
    assert [line.get_xdata() for line in fig.axes[0].get_lines() if line.get_label().startswith("_")] == [[0, 0]]
    fig.canvas.draw()
    renderer, zero = fig.canvas.get_renderer(), fig.axes[0].transData.transform((0, 0))[0]
    inside, outside = fig.axes[0].texts
    assert inside.get_text() == "NMC"
    assert inside.get_window_extent(renderer).x1 < zero < outside.get_window_extent(renderer).x0


def test_no_interface_is_drawn_where_zero_is_not_in_the_profile() -> None:
    far = figures.profile_figure(profile().sel(distance=slice(0.2, None)), inside="NMC")
    assert not far.axes[0].texts
    assert len(far.axes[0].get_lines()) == 3


def test_nine_lines_differ_in_colour_or_dash() -> None:
    fig = figures.profile_figure(profile(9))
    looks = {(to_hex(line.get_color()), line.get_linestyle()) for line in data_lines(fig)}
    assert len(looks) == 9
    assert {c for c, _ in looks} == {c.lower() for c in LINE_COLOURS}


@pytest.mark.parametrize("width", [82.55, 171.0])
def test_the_legend_fits_the_page(width: float) -> None:
    fig = figures.profile_figure(profile(9), inside="NMC", outside="electrolyte")
    fig.fit_width(width)
    fig.canvas.draw()
    assert len(fig.legends) == 1
    box = fig.legends[0].get_window_extent(fig.canvas.get_renderer())
    assert box.x0 >= 0
    assert box.x1 <= fig.bbox.x1
    assert box.y1 <= fig.bbox.y1
    assert box.y0 > fig.axes[0].texts[0].get_window_extent(fig.canvas.get_renderer()).y1
    assert fig.axes[0].get_window_extent().height > 0.5 * fig.bbox.height


def test_normalised_lines_reach_one_and_say_so() -> None:
    given = profile()
    given["mean"][1] = 0.0
    fig = figures.profile_figure(given, normalise=True)
    assert [np.max(line.get_ydata()) for line in data_lines(fig)] == [1.0, 0.0, 1.0]
    assert "relative to the largest mean" in fig.axes[0].get_ylabel()


def test_empty_bins_interrupt_the_line_and_a_single_profile_needs_no_fragment() -> None:
    given = profile(1).isel(fragment=0, drop=True)
    given["mean"][4] = np.nan
    given["sem"][4] = np.nan
    fig = figures.profile_figure(given)
    assert np.isnan(data_lines(fig)[0].get_ydata()[4])
    assert not fig.legends
    assert len(fig.axes[0].collections[0].get_paths()) == 2


def test_input_is_unchanged() -> None:
    given = profile()
    before = given.copy(deep=True)
    figures.profile_figure(given, normalise=True, unit="nm")
    xr.testing.assert_identical(given, before)


def test_what_is_no_profile_is_said() -> None:
    with pytest.raises(SsbmapsError, match="sem missing; expected a Dataset with mean, sem"):
        figures.profile_figure(profile().drop_vars("sem"))
    with pytest.raises(SsbmapsError, match="unit='mm'; expected 'um' or 'nm'"):
        figures.profile_figure(profile(), unit="mm")
    with pytest.raises(SsbmapsError, match=r"dims \('scan', 'fragment', 'distance'\)"):
        figures.profile_figure(profile().expand_dims(scan=2))
    wrong = profile()
    wrong["distance"] = wrong["distance"].assign_attrs(units="nm")
    with pytest.raises(SsbmapsError, match="distance is in 'nm'; expected 'um'"):
        figures.profile_figure(wrong)
