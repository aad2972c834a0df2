"""Edge width: planted beams recovered, pixels integrated exactly, errors that keep their word, refusals that give a reason."""

from __future__ import annotations

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from ssbmaps import DataQualityWarning, GridMismatchError, SsbmapsError, synthetic
from ssbmaps.interfaces import edge_width
from ssbmaps.interfaces._edge_width_fit import Side, blurred_step

STILL = {"gain": 0, "drift": 0, "drift_walk": 0, "dead_time": 0}


def _section(geometry="planar", fwhm=0.2, shape=(50, 70), pixel=0.1, **layout):
    return synthetic.cross_section(
        shape=shape,
        pixel_size=pixel,
        n_scans=1,
        geometry=geometry,
        thickness=0,
        layout=synthetic.Layout(**layout),
        instrument=synthetic.Instrument(beam_fwhm=fwhm, **STILL),
    )


@pytest.fixture(scope="module")
def edge():
    """Noise-free NiO2- of a straight edge, 7 um of it, and its distance."""
    section = _section()
    return section.ideal.sel(fragment="NiO2-"), section.distance, section.sigma_psf


def _counts(mean, seed):
    drawn = np.random.default_rng(seed).poisson(mean.values)
    return mean.copy(data=drawn).assign_attrs(units="counts")


def _map(values, like):
    return xr.DataArray(values, {"y": like.y, "x": like.x}, ("y", "x"), attrs={"units": "counts"})


@pytest.mark.parametrize("fwhm", [0.15, 0.2, 0.3, 0.4])
@pytest.mark.parametrize(
    ("geometry", "layout", "tolerance"),
    [("planar", {"angle": 5}, 5e-4), ("planar", {"angle": 38}, 5e-4), ("disc", {"disc_radius": 1.5}, 5e-3)],
)
def test_the_beam_is_recovered_without_noise(geometry, layout, fwhm, tolerance):
    """To the bins' own width on a straight edge; on a disc the curvature's second order adds (σ/R)²/4 = 0.3 % at most."""
    section = _section(geometry, fwhm, **layout)
    found = edge_width(section.ideal.sel(fragment="NiO2-"), section.distance)
    assert float(found.sigma_corrected) == pytest.approx(section.sigma_psf, rel=tolerance)
    assert float(found.sigma) == pytest.approx(np.hypot(section.sigma_psf, 0.1 / np.sqrt(12)), rel=tolerance)
    shift = -(section.sigma_psf**2) / (2 * layout["disc_radius"]) if geometry == "disc" else 0.0
    assert float(found.offset) == pytest.approx(shift, abs=1e-3)  # two thirds of the pixel's term are in it too
    assert float(found.level_in) == pytest.approx(24, rel=1e-3)
    assert int(found.model_rejected) == 0


def test_a_pixel_wider_than_the_beam_is_integrated_too():
    section = _section(fwhm=0.1, pixel=0.2, shape=(60, 80), angle=20)
    found = edge_width(section.ideal.sel(fragment="NiO2-"), section.distance)
    assert float(found.sigma_corrected) == pytest.approx(section.sigma_psf, rel=0.01)


@settings(max_examples=25)
@given(
    s=st.floats(-0.6, 0.6),
    sigma=st.floats(0.03, 0.4),
    angle=st.floats(0, np.pi / 2),
    height=st.floats(0.05, 0.2),
    shift=st.floats(-0.1, 0.1),
)
def test_the_mean_over_a_pixel_is_that_of_many_points(s, sigma, angle, height, shift):
    """The 200 x 200 midpoints of an oblong pixel; the rule's error is (cell / σ)² / 24 at most."""
    width = 0.1
    steps = (np.arange(200) + 0.5) / 200 - 0.5
    points = s + steps[:, None] * height * np.cos(angle) + steps * width * np.sin(angle)
    extents = np.sort([height * abs(np.cos(angle)), width * abs(np.sin(angle))])
    side = Side(np.array([s]), extents[1:], np.maximum(extents[:1], 1e-3 * extents[1:]))
    share, by_shift, by_variance = blurred_step(side, sigma**2, shift)
    assert share[0] == pytest.approx(norm.cdf(-(points - shift) / sigma).mean(), abs=1e-5)
    step = 1e-5
    ahead, back = (blurred_step(side, sigma**2, shift + d)[0][0] for d in (step, -step))
    assert by_shift[0] == pytest.approx((ahead - back) / (2 * step), abs=1e-4)
    ahead, back = (blurred_step(side, sigma**2 + d, shift)[0][0] for d in (step, -step))
    assert by_variance[0] == pytest.approx((ahead - back) / (2 * step), abs=2e-2 * max(1, abs(by_variance[0])))


def test_errors_keep_their_word(edge):
    """60 draws: the standard deviation of the pulls is known to 9 %, coverage of 95 % to 3 %."""
    mean, distance, psf = edge
    truth = np.hypot(psf, 0.1 / np.sqrt(12))
    found = [edge_width(_counts(mean, seed), distance) for seed in range(60)]
    for name, planted in (("sigma", truth), ("sigma_corrected", psf), ("offset", 0.0), ("level_in", 24.0)):
        pulls = [float((f[name] - planted) / f[f"{name}_sd"]) for f in found]
        assert abs(np.mean(pulls)) < 0.45, name
        assert 0.72 < np.std(pulls) < 1.28, name
        covered = [float(f[f"{name}_low"]) <= planted <= float(f[f"{name}_high"]) for f in found]
        assert np.mean(covered) >= 0.87, name
    assert sum(int(f.model_rejected) for f in found) <= 3


def test_overdispersed_counts_widen_the_errors(edge):
    """Four counts for each event: the variance is four times the mean."""
    mean, distance, psf = edge
    found = [edge_width(4 * _counts(mean / 4, seed), distance) for seed in range(40)]
    assert np.mean([float(f.dispersion) for f in found]) == pytest.approx(4, rel=0.3)
    pulls = [float((f.sigma_corrected - psf) / f.sigma_corrected_sd) for f in found]
    assert 0.7 < np.std(pulls) < 1.35


def test_gaussian_noise_needs_no_known_variance(edge):
    mean, distance, psf = edge
    pulls = []
    for seed in range(24):
        noisy = mean + np.random.default_rng(seed).normal(0, 2, mean.shape)
        found = edge_width(noisy.assign_attrs(units="arbitrary"), distance)
        pulls.append(float((found.sigma_corrected - psf) / found.sigma_corrected_sd))
    assert abs(np.mean(pulls)) < 0.5
    assert 0.7 < np.std(pulls) < 1.35


def test_all_measures_are_those_of_one_normal_distribution(edge):
    found = edge_width(edge[0], edge[1])
    for name, share in (("d12_88", 0.12), ("d16_84", 0.16), ("d20_80", 0.20)):
        assert float(found[name] / found.sigma) == pytest.approx(2 * norm.ppf(1 - share), rel=1e-6)
    assert float(found.fwhm / found.sigma) == pytest.approx(2 * np.sqrt(2 * np.log(2)), rel=1e-6)
    for name in ("fwhm", "d12_88"):
        for suffix in ("_sd", "_low", "_high"):
            ratio = found[name + suffix] / found[f"sigma{suffix}"]
            assert float(ratio) == pytest.approx(float(found[name] / found.sigma), rel=1e-9)


def test_an_edge_that_rises_outwards_and_lies_elsewhere(edge):
    mean, distance, psf = edge
    found = edge_width(30 - mean, distance - 0.12)
    assert float(found.offset) == pytest.approx(-0.12, abs=1e-3)
    assert float(found.sigma_corrected) == pytest.approx(psf, rel=2e-3)
    assert float(found.level_out) > float(found.level_in)


def test_a_second_edge_close_by_is_left_out():
    """Electrolyte of 0.6 um between two grains: seen from either, the other's tail would widen the edge by several per cent."""
    layers = (("electrolyte", 4.0), ("NMC", 2.0), ("electrolyte", 0.6), ("NMC", 2.0), ("electrolyte", 4.0))
    section = _section(fwhm=0.4, shape=(150, 60), angle=4, layers=layers)
    found = edge_width(section.ideal.sel(fragment="NiO2-"), section.distance)
    assert float(found.sigma_corrected) == pytest.approx(section.sigma_psf, rel=5e-3)


def test_two_steps_are_no_single_edge(edge):
    _, distance, _ = edge
    steps = 20.0 * (distance < -0.35) + 20.0 * (distance < 0.35) + 1
    found = edge_width(_counts(steps, 0), distance)
    assert int(found.model_rejected) == 1
    assert float(found.misfit) > 0.03
    assert float(found.p_value) < 1e-6


def test_leading_dimensions_and_containers_give_the_same(edge):
    mean, distance, _ = edge
    stack = (
        xr.concat([_counts(mean, 1), _counts(2 * mean, 2)], "scan")
        .expand_dims(fragment=["NiO2-"])
        .transpose("scan", "fragment", "y", "x")
    )
    found = edge_width(stack, distance)
    assert found.sigma.dims == ("scan", "fragment")
    alone = edge_width(stack[1, 0], distance)
    assert float(found.sigma[1, 0]) == float(alone.sigma)
    forms = (
        stack.transpose("x", "scan", "y", "fragment"),
        stack.copy(data=sparse.COO.from_numpy(stack.values)),
        stack.chunk({"scan": 1, "y": 20}),
    )
    for form in forms:
        xr.testing.assert_identical(edge_width(form, distance.transpose("x", "y")).drop_attrs(), found.drop_attrs())


def test_inputs_stay_and_the_wording_travels(edge):
    mean, distance, _ = edge
    before = mean.copy(deep=True), distance.copy(deep=True)
    found = edge_width(mean, distance, window=0.5)
    xr.testing.assert_identical(mean, before[0])
    xr.testing.assert_identical(distance, before[1])
    assert "not the resolution of the instrument" in found.attrs["wording"]
    assert found.sigma.attrs["long_name"].startswith("effective edge width")
    assert float(found.window) == 0.5
    assert "interfaces.edge_width" in found.attrs["history"]
    assert all("units" in v.attrs for v in found.data_vars.values())


def test_pixels_left_out_do_not_count(edge):
    """Spoilt pixels that are NaN, unmeasured, without distance or not in `where` change nothing; four ways, one answer."""
    mean, distance, _ = edge
    spoilt = xr.zeros_like(mean, bool)
    spoilt[:, 20:35] = True
    bad = mean.where(~spoilt, 500.0)
    known = xr.DataArray(~spoilt.values, dims=("y", "x"))
    ways = (
        edge_width(mean.where(~spoilt), distance),
        edge_width(bad.assign_coords(measured=known), distance),
        edge_width(bad, distance, where=~spoilt.drop_vars("fragment")),
    )
    for found in ways[1:]:
        assert float(found.sigma) == float(ways[0].sigma)
    assert int(ways[0].n_pixels) < int(edge_width(mean, distance).n_pixels)


def test_a_map_without_an_edge_is_named_among_others(edge):
    mean, distance, _ = edge
    flat = _counts(xr.full_like(mean, 9.0), 3)
    peak = _counts(1 + 8 * np.exp(-0.5 * (distance / 0.1) ** 2), 4)
    values = np.stack([_counts(mean, 1), flat, peak])
    place = {"fragment": ["NiO2-", "Cl-", "PO3-"], "y": mean.y, "x": mean.x}
    stack = xr.DataArray(values, place, ("fragment", "y", "x"), attrs={"units": "counts"})
    with pytest.warns(DataQualityWarning, match=r"Cl-: no contrast beyond noise.*PO3-: "):
        found = edge_width(stack, distance)
    assert np.isfinite(found.sigma.sel(fragment="NiO2-"))
    assert np.isnan(found.sigma.sel(fragment=["Cl-", "PO3-"])).all()
    with pytest.raises(SsbmapsError, match="no contrast beyond noise across the edge"):
        edge_width(flat, distance)


def test_edgeless_maps_are_refused(edge):
    """The threshold lets one in a thousand pass; 25 draws let none."""
    mean, distance, _ = edge
    for seed in range(25):
        with pytest.raises(SsbmapsError, match=r"no contrast|reaches no plateau|cannot be told"):
            edge_width(_counts(xr.full_like(mean, 5.0), seed), distance)


def test_what_cannot_be_used_is_refused(edge):
    mean, distance, _ = edge
    with pytest.raises(SsbmapsError, match=r"usable pixels inside and .* outside"):
        edge_width(mean, distance, where=(distance > 0))
    with pytest.raises(SsbmapsError, match="reaches no plateau"):
        edge_width(mean, distance, window=0.15)
    with pytest.raises(SsbmapsError, match="reaches no plateau"):
        edge_width(_map(20 + 2 * distance.values, distance).assign_attrs(units="arbitrary"), distance)
    with pytest.raises(SsbmapsError, match="'nm'; expected um"):
        edge_width(mean, distance.assign_attrs(units="nm"))
    with pytest.raises(SsbmapsError, match="window=-1; expected a positive number"):
        edge_width(mean, distance, window=-1)
    with pytest.raises(SsbmapsError, match="negative counts"):
        edge_width(_counts(mean, 0).astype(np.int64) - 5, distance)
    with pytest.raises(SsbmapsError, match="no pixel is left"):
        edge_width(mean, xr.full_like(distance, np.nan))
    with pytest.raises(GridMismatchError, match="different grids"):
        edge_width(mean[1:], distance)
    with pytest.raises(SsbmapsError, match=r"cannot be told|no contrast"):
        edge_width(_counts(mean / 4000, 0), distance)
