"""The measured section: determinism, counting statistics, dead time, gain, drift, transient, leak, stored truth."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from ssbmaps import SsbmapsError, synthetic
from ssbmaps.synthetic._recipe import recipe_of

PLAIN = {"dead_time": 0, "gain": 0, "drift": 0, "drift_walk": 0, "transient": {}, "leak": ()}


def stack(**options):
    """A small layer stack; `instrument` options on top of an instrument without marks."""
    instrument = synthetic.Instrument(**{**PLAIN, **options.pop("instrument", {})})
    return synthetic.cross_section(**{"shape": (40, 52), "n_scans": 4, "geometry": "planar", **options}, instrument=instrument)


def test_same_arguments_give_the_same_bits_and_the_contract_holds():
    first, second = (synthetic.cross_section(seed=11, shape=(48, 60), n_scans=3) for _ in range(2))
    xr.testing.assert_identical(first, second)
    assert first.counts.dims == ("scan", "fragment", "y", "x")
    assert first.counts.dtype == np.uint32
    assert first.expected.dtype == np.float32
    assert float(first.y[0]) == pytest.approx(0.05)
    assert first.counts.attrs["units"] == "counts"
    for name, variable in first.variables.items():
        assert name in first.dims or name == "mz" or "units" in variable.attrs, name
    assert set(first.fragment.values) == {"C2-", "S-", "Cl-", "PO2-", "PO3-", "SO2-", "SO3-", "NiO2-", "PS-"}
    assert first.attrs["history"].startswith("ssbmaps.synthetic.cross_section")
    assert json.loads(first.attrs["recipe"])["seed"] == 11


def test_recipe_survives_its_json():
    layout = synthetic.Layout(layers=[["NMC", 1], ["coat", 0.2], ["electrolyte", 1]], radius=[1, 2])
    section = stack(layout=layout, levels={"coat": {"PO2-": 3}}, thickness=0, instrument={"leak": [["S-", "PO2-", 0.01]]})
    recipe = recipe_of(section, subject="test")
    assert type(recipe).from_json(recipe.to_json()) == recipe
    assert recipe.layout.layers == (("NMC", 1.0), ("coat", 0.2), ("electrolyte", 1.0))
    assert recipe.instrument.leak == (("S-", "PO2-", 0.01),)


def test_phase_map_names_the_largest_share():
    section = synthetic.cross_section(seed=2, shape=(90, 100), n_scans=1, thickness=0.3)
    words = section.phase_map.attrs["flag_meanings"].split()
    assert words == ["unassigned", "NMC", "electrolyte", "carbon", "void", "interphase"]
    np.testing.assert_array_equal(section.phase_map.attrs["flag_values"], np.arange(6))
    assert section.phase_map.dtype == np.int16
    for word, phase in (("NMC", "NMC"), ("interphase", "POx"), ("void", "void")):
        chosen = section.phase_map == words.index(word)
        assert (section.coverage.sel(phase=phase).values[chosen.values] > 0.3).all()
        assert chosen.values[section.coverage.sel(phase=phase).values > 0.5].all()


def test_levels_of_the_default_section_are_sensible():
    level = synthetic.cross_section(shape=(16, 20), n_scans=1, geometry="disc").level
    shell = level.sel(phase="POx", fragment=["PO2-", "PO3-"])
    assert float(shell.sum()) == 9
    assert float(level.sel(phase="electrolyte", fragment=["PO2-", "PO3-"]).sum()) < 0.5
    assert float(level.sel(phase="NMC", fragment="NiO2-")) > 2 * 9
    assert float(level.sel(phase="electrolyte", fragment="S-")) > 10


def test_image_keeps_the_planted_counts():
    section = synthetic.cross_section(shape=(96, 110), n_scans=1, geometry="disc", layout=synthetic.Layout(disc_radius=3.0))
    planted = (section.coverage * section.level).sum(("phase", "y", "x"))
    # the blur moves counts within the map only: shell and disc lie 1.8 um from its edge
    np.testing.assert_allclose(section.ideal.sum(("y", "x")), planted, rtol=1e-6)


def test_plateaus_reach_the_planted_levels():
    section = stack(shape=(64, 40))
    for phase, side in (("NMC", section.distance < -1.5), ("electrolyte", section.distance > 1.5)):
        plateau = section.ideal.where(side).mean(("y", "x"))
        np.testing.assert_allclose(plateau, section.level.sel(phase=phase), rtol=1e-5, atol=1e-5)


def test_poisson_counts_have_the_expected_mean_and_variance():
    section = stack(shape=(100, 120))
    expected, counts = section.expected.values.astype(float), section.counts.values
    np.testing.assert_allclose(section.expected.sum("scan"), section.ideal, rtol=1e-4, atol=1e-5)
    for f in range(section.sizes["fragment"]):
        e, n = expected[:, f].ravel(), counts[:, f].ravel()
        assert abs(n.sum() - e.sum()) < 4 * np.sqrt(e.sum())
        chi2 = ((n - e) ** 2 / e).mean()
        # variance of (n−e)²/e is 2 + 1/e for a Poisson count
        assert abs(chi2 - 1) < 4 * np.sqrt((2 + 1 / e).mean() / e.size)


def test_redraw_keeps_the_expectation_and_everything_else():
    section = synthetic.cross_section(seed=1, shape=(24, 30), n_scans=2)
    draws = [synthetic.redraw(section, seed=s) for s in range(40)]
    xr.testing.assert_equal(draws[3].drop_vars("counts"), section.drop_vars("counts"))
    assert draws[3].attrs["noise_seed"] == 3
    assert draws[3].attrs["recipe"] == section.attrs["recipe"]
    assert len(draws[3].attrs["history"].splitlines()) == 2
    np.testing.assert_array_equal(draws[1].counts, section.counts)  # the section's own seed
    assert not np.array_equal(draws[2].counts, section.counts)
    mean = np.mean([d.counts.values for d in draws], axis=0)
    e = section.expected.values.astype(float)
    z = (mean - e) / np.sqrt(e / 40)
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert np.std(z) == pytest.approx(1, abs=0.05)  # slightly below 1: binomial
    transposed = section.transpose("x", "y", "fragment", "scan", ...)
    np.testing.assert_array_equal(synthetic.redraw(transposed, seed=2).counts.transpose(*draws[2].counts.dims), draws[2].counts)


def test_dead_time_loses_what_the_formula_says_and_is_binomial():
    section = stack(shape=(90, 100), instrument={"dead_time": 65.0, "shots": 5}, n_scans=4)
    deep = (section.distance > 1.0).values
    level = float(section.level.sel(phase="electrolyte", fragment="S-"))
    loss = 4 * 5 * (1 - np.exp(-level / 20))  # 20 shots per pixel, at most one count each: 17.3 of 40
    expected = section.expected.sel(fragment="S-").values[:, deep]
    assert expected.sum(axis=0).mean() == pytest.approx(loss, rel=1e-4)
    counts = section.counts.sel(fragment="S-").values[:, deep]
    assert counts.max() <= 5
    assert counts.sum(axis=0).mean() == pytest.approx(loss, rel=3e-3)  # 5000 pixels: 0.1 % at one sigma
    p = loss / 20
    assert counts.var() == pytest.approx(5 * p * (1 - p), rel=0.05)  # a Poisson count would have 1/(1−p) = 7 times more


def test_lighter_partner_masks_the_heavier():
    levels = {"electrolyte": {"PS-": 60.0, "PO2-": 10.0, "SO2-": 10.0}}
    section = stack(shape=(90, 100), n_scans=2, levels=levels, instrument={"dead_time": 65.0, "shots": 40})
    deep = (section.distance > 1.0).values
    masked = 80 * np.exp(-60 / 80) * (1 - np.exp(-10 / 80))  # only shots without PS− can count PO2−
    free = 80 * (1 - np.exp(-10 / 80))  # SO2− is 1 Da heavier, 0.22 us later: not masked
    for fragment, mean in (("PO2-", masked), ("SO2-", free)):
        assert section.expected.sel(fragment=fragment).sum("scan").values[deep].mean() == pytest.approx(mean, rel=1e-4)
        assert section.counts.sel(fragment=fragment).sum("scan").values[deep].mean() == pytest.approx(mean, rel=0.02)
    pair = section.counts.sel(fragment=["PS-", "PO2-"]).sum("fragment")
    assert int(pair.max()) <= 40


def test_gain_multiplies_and_has_the_wanted_spread():
    section = stack(shape=(120, 140), instrument={"gain": 0.1, "gain_length": 2.0})
    np.testing.assert_allclose(section.expected.sum("scan"), section.ideal * section.gain, rtol=1e-4, atol=1e-5)
    assert float(section.gain.mean()) == pytest.approx(1, abs=1e-2)
    assert float(section.gain.std()) == pytest.approx(0.1, rel=0.03)


def test_transient_is_the_planted_curve():
    section = stack(n_scans=6, instrument={"transient": {"C2-": 2.0, "Cl-": -0.5}, "transient_depth": 1.5})
    totals = section.expected.sum(("y", "x")) / (section.ideal.sum(("y", "x")) / 6)
    curve = 1 + xr.DataArray([2.0, -0.5], {"fragment": ["C2-", "Cl-"]}) * np.exp(-section.scan / 1.5)
    np.testing.assert_allclose(totals.sel(fragment=["C2-", "Cl-"]), curve.transpose("scan", "fragment"), rtol=1e-4)
    np.testing.assert_allclose(totals.sel(fragment="PO3-"), 1, rtol=1e-4)
    np.testing.assert_allclose(section.transient, totals, rtol=1e-4)


def test_leak_counts_a_share_a_second_time():
    clean, leaky = stack(), stack(instrument={"leak": (("S-", "PO2-", 0.01),)})
    extra = (leaky.expected - clean.expected).sum("scan")
    np.testing.assert_allclose(extra.sel(fragment="PO2-"), 0.01 * clean.ideal.sel(fragment="S-"), rtol=1e-3, atol=1e-5)
    assert float(abs(extra.drop_sel(fragment="PO2-")).max()) < 1e-5
    assert float(leaky.leak.sel(leak_from="S-", fragment="PO2-")) == 0.01


def test_drift_moves_the_image_by_the_planted_path():
    section = synthetic.cross_section(
        shape=(80, 90),
        n_scans=5,
        geometry="disc",
        levels={p: {"NiO2-": 0.0} for p in ("electrolyte", "POx")},
        instrument=synthetic.Instrument(**{**PLAIN, "drift": 0.3, "drift_walk": 0.02}),
    )
    nickel = section.expected.sel(fragment="NiO2-").astype(float)  # the disc alone
    for dim, middle in (("y", 4.0), ("x", 4.5)):
        centroid = (nickel * section[dim]).sum(("y", "x")) / nickel.sum(("y", "x"))
        np.testing.assert_allclose(centroid - middle, section[f"drift_{dim}"], atol=1e-4)
        assert float(section[f"drift_{dim}"].mean()) == pytest.approx(0, abs=1e-12)
    span = np.hypot(*(float(section[d][-1] - section[d][0]) for d in ("drift_y", "drift_x")))
    assert span == pytest.approx(0.3, abs=0.15)  # a straight 0.3 um and a random walk of 0.02 per scan
    at_rest = synthetic.redraw(section, seed=5)
    np.testing.assert_array_equal(at_rest.drift_y, section.drift_y)


def test_dose_scales_the_levels():
    once, twice = stack(), stack(instrument={"dose": 2.0})
    np.testing.assert_allclose(twice.ideal, 2 * once.ideal)
    np.testing.assert_allclose(twice.level, 2 * once.level)


def test_store_keeps_every_attribute_kind(tmp_path):
    section = synthetic.cross_section(shape=(20, 24), n_scans=2)
    section.to_netcdf(tmp_path / "s.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "s.nc", engine="h5netcdf") as back:
        xr.testing.assert_equal(back.load(), section)
        assert back.attrs["recipe"] == section.attrs["recipe"]


@pytest.mark.parametrize("function", ["redraw", "sam_maps", "raman_map", "spectrum_cube"])
def test_something_else_than_a_section_gets_a_letter(function):
    with pytest.raises(SsbmapsError, match="without the attribute 'recipe'"):
        getattr(synthetic, function)(xr.Dataset({"counts": ("y", [1])}), seed=1)
    section = stack(shape=(8, 9))
    with pytest.raises(SsbmapsError, match="seed is 'x'"):
        getattr(synthetic, function)(section, seed="x")


def test_importing_the_room_loads_nothing_heavy():
    heavy = "scipy sklearn skimage matplotlib numba pyimzml sparse xarray dask h5py molmass"
    code = f"import sys, ssbmaps.synthetic; print(sorted(set('{heavy}'.split()) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
