"""Interphase thickness on known geometry: planted shells recovered, nothing found where there is nothing, wrong input refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from ssbmaps import GridMismatchError, SsbmapsError, io, synthetic
from ssbmaps.interfaces import fit_interphase, interphase_bound
from ssbmaps.interfaces._scoring import Counts, Weighted, fit_shape
from ssbmaps.interfaces._shapes import BARE, BOX, CORE, SHAPES, SHELL, THIN, stack

POX = {"POx": ["PO2-", "PO3-"]}
ALL_SHAPES = (*SHAPES, BARE, THIN)
EXTRA = {"shifted": (0.03,), "rim": (0.4,), "falling": (0.6,), "diffuse": (0.06,), "halo": (0.1, 4.0)}
S = np.arange(-1.0, 2.0, 0.01)
LOW, HIGH = np.array([-0.3, 0.002, 0.02]), np.array([0.3, 3.0, 0.5])
LEVELS = np.array([[24.0, 0.5, 0.2], [0.2, 9.0, 0.4]])


@cache
def _section(thickness, seed=3, shape=(112, 128), **departures):
    """A disc of 3.3 um radius: 20.7 um of interface."""
    layout = synthetic.Layout(fibres=0, voids=0, cracked=0, disc_radius=3.3)
    changes = synthetic.Departures(**departures)
    return synthetic.cross_section(
        seed=seed,
        shape=shape,
        n_scans=8,
        geometry="disc",
        thickness=thickness,
        thickness_SOx=0.0,
        layout=layout,
        departures=changes,
    )


def _fit(section, counts=None, **options):
    counts = section.counts if counts is None else counts
    return fit_interphase(counts, section.distance, core="NiO2-", shell=POX, shots=25, **options).isel(shell=0)


@pytest.mark.parametrize("shape", ALL_SHAPES, ids=lambda s: s.name)
@settings(max_examples=8, deadline=None)
@given(s0=st.floats(-0.1, 0.1), d=st.floats(0.05, 0.6), sigma=st.floats(0.05, 0.2))
def test_derivatives_are_those_of_the_weights(shape, s0, d, sigma):
    g = np.array([s0, d, sigma, *EXTRA.get(shape.name, ())])
    _, slopes = shape.weights(S, g)
    for i in range(len(g)):
        step = np.zeros_like(g)
        step[i] = 1e-6
        numeric = (shape.weights(S, g + step)[0] - shape.weights(S, g - step)[0]) / 2e-6
        np.testing.assert_allclose(slopes[i], numeric, atol=1e-6 * max(1, np.abs(numeric).max()))


def _blurred(values, sigma, fine):
    return np.interp(S, fine, gaussian_filter1d(values, sigma / (fine[1] - fine[0]), mode="nearest"))


@pytest.mark.parametrize("name", [s.name for s in SHAPES])
def test_weights_equal_a_blurred_drawing(name):
    """The second road: the sample drawn on a fine line and blurred by scipy."""
    shape = next(s for s in SHAPES if s.name == name)
    s0, d, sigma = 0.03, 0.22, 0.09
    extra = EXTRA.get(name, ())
    fine = np.arange(-3, 4, 5e-4) + 2.5e-4
    u = fine - s0
    start = extra[0] if name == "shifted" else 0.0
    shell = ((u > start) & (u < start + d)).astype(float)
    inner, outside = (u < start).astype(float), (u > start + d).astype(float)
    if name == "falling":
        shell *= 1 - extra[0] * u / d
    if name == "diffuse":
        outside = gaussian_filter1d(outside, extra[0] / 5e-4)
        shell = np.where(u > 0, 1, 0) - outside
    if name == "exponential":
        shell = np.where(u > 0, np.exp(-np.maximum(u, 0) / d), 0)
        outside = np.where(u > 0, 1 - shell, 0)
    drawn = [inner, shell, outside]
    expected = np.stack([_blurred(v, sigma, fine) for v in drawn])
    if name == "halo":
        share, wider = extra
        expected = (1 - share) * expected + share * np.stack([_blurred(v, wider * sigma, fine) for v in drawn])
    weights = shape.weights(S, np.array([s0, d, sigma, *extra]))[0]
    # cells of 0.5 nm: the edge is placed to half of that, 0.25 nm / (2.5 · 90 nm) of a step
    np.testing.assert_allclose(weights[SHELL], expected, atol=2e-3)
    if name == "rim":
        core = (u < 0) * (1 + extra[0] * (u > -0.05))
        np.testing.assert_allclose(weights[CORE, 0], _blurred(core, sigma, fine), atol=2e-3)


def test_layers_of_a_stack_add_up_to_one():
    shape = stack(5)
    weights, slopes = shape.weights(S, np.array([0.0, 0.1, 0.2, 0.3, 0.4]))
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(slopes.sum(axis=2), 0, atol=1e-12)
    three = stack(3).weights(S, np.array([0.02, 0.1, 0.2]))[0]
    np.testing.assert_allclose(three, BOX.weights(S, np.array([0.02, 0.2, 0.1]))[0])


@pytest.mark.parametrize("kind", ["poisson", "binomial", "gaussian"])
def test_noise_free_profiles_give_their_parameters_back(kind):
    geometry = np.array([0.02, 0.25, 0.09])
    mean = np.einsum("cj,cjb->cb", LEVELS, BOX.weights(S, geometry)[0])
    n, kinds = np.full(S.size, 50.0), np.array([CORE, SHELL])
    if kind == "gaussian":
        data = Weighted(S, n, mean * n[:, None].T / 4, np.broadcast_to(n / 4, mean.shape), kinds)
    else:
        shots = np.full(2, np.inf if kind == "poisson" else 200.0)
        data = Counts(S, n, mean * n, kinds, shots)
        data = Counts(S, n, data.expected(mean)[0], kinds, shots)
    fit = fit_shape(data, BOX, np.array([0.0, 0.15, 0.12]), (LOW, HIGH))
    np.testing.assert_allclose(fit.geometry, geometry, atol=2e-4)
    np.testing.assert_allclose(fit.levels, LEVELS, atol=0.02)


def test_an_empty_bin_changes_nothing():
    mean = np.einsum("cj,cjb->cb", LEVELS, BOX.weights(S, np.array([0.02, 0.25, 0.09]))[0])
    n = np.where(np.arange(S.size) % 7 == 3, 0.0, 50.0)
    shots = np.array([200.0, 400.0])
    gaps = Counts(S, n, mean * n, np.array([CORE, SHELL]), shots)
    kept = Counts(S[n > 0], n[n > 0], (mean * n)[:, n > 0], gaps.kinds, shots)
    start = np.array([0.0, 0.15, 0.12])
    found = [fit_shape(data, BOX, start, (LOW, HIGH)) for data in (gaps, kept)]
    np.testing.assert_allclose(found[0].parameters, found[1].parameters, rtol=1e-6)


def test_ten_draws_scatter_as_the_bound_allows():
    section = _section(0.2)
    found = [_fit(section, synthetic.redraw(section, seed=100 + i).counts) for i in range(10)]
    d = np.array([float(f.thickness) for f in found])
    plan = {"core": LEVELS[0], "shell": LEVELS[1], "beam_fwhm": 0.2, "pixel_size": 0.1}
    bound = float(interphase_bound(thickness=0.2, length=float(found[0].interface_length), **plan).thickness_sd)
    # ten draws know their standard deviation to 23 %, their mean to 0.3 of it
    assert abs(d.mean() - 0.2) < 2 * bound
    assert 0.4 * bound < d.std(ddof=1) < 1.9 * bound
    assert sum(float(f.thickness_low) < 0.2 < float(f.thickness_high) for f in found) >= 9
    assert float(found[0].interface_length) == pytest.approx(2 * np.pi * 3.3, rel=0.03)
    assert float(found[0].contact) > 0.97
    assert all(float(f.offset) == pytest.approx(0, abs=0.02) for f in found)


def test_a_section_without_a_shell_shows_none():
    for seed in range(4):
        found = _fit(_section(0.0, seed=seed), reference_level=9.0)
        assert (int(found.above_noise), int(found.resolved)) == (0, 0)
        assert np.isnan(float(found.thickness))
        assert 0 < float(found.upper_limit) < 0.02
        text = str(found.statement.values)
        assert text.startswith("Not distinguishable from the reference contact; thickness < ")
        assert "if the yield equals 9" in text
    without = _fit(_section(0.0), reference_level=None)
    assert np.isnan(float(without.upper_limit))
    assert str(without.statement.values) == "Not distinguishable from the reference contact."
    assert "equivalent_thickness" not in without


def test_a_thin_shell_is_seen_but_not_resolved():
    found = _fit(_section(0.02), reference_level=9.0)
    assert (int(found.above_noise), int(found.resolved)) == (1, 0)
    # 20 nm of 9 − 0.4 counts; 20 um of interface know it to 0.008
    assert float(found.excess) == pytest.approx(0.172, abs=3.5 * float(found.excess_sd))
    assert float(found.excess_sd) < 0.02
    assert float(found.equivalent_thickness) == pytest.approx(0.02, abs=0.004)
    assert float(found.upper_limit) > 0.02
    assert "Signal above noise; thickness < " in str(found.statement.values)


def test_reference_sections_and_floors():
    mixed = _section(0.0, mixing_layer=0.02)
    pristine = fit_interphase(mixed.counts, mixed.distance, core="NiO2-", shell=POX, shots=25)
    other = _section(0.0, seed=8, mixing_layer=0.02)
    same = _fit(other, reference=pristine)
    assert (int(same.above_noise), int(same.above_reference)) == (1, 0)
    assert str(same.statement.values).endswith("Not above the reference.")
    assert int(_fit(_section(0.2), reference=pristine).above_reference) == 1
    assert int(_fit(_section(0.2), reference=0.05).above_reference) == 1
    assert int(_fit(_section(0.2), reference=0.3).above_reference) == 0
    assert int(_fit(other, reference=0.001, reference_level=9.0).above_reference) == 1
    with pytest.raises(SsbmapsError, match="reference holds no shell 'POx'"):
        _fit(other, reference=pristine.drop_vars("core_level"))


def test_a_halo_is_told_and_a_wrong_start_is_explained():
    layout = synthetic.Layout(fibres=0, voids=0, cracked=0, disc_radius=3.3)
    beam = synthetic.Instrument(halo_fraction=0.1)
    section = synthetic.cross_section(
        seed=1, shape=(112, 128), n_scans=8, geometry="disc", thickness=0.4, thickness_SOx=0.0, layout=layout, instrument=beam
    )
    found = _fit(section)
    assert str(found.model.values) == "halo"
    assert float(found.held_out_gain.sel(shape="halo")) > 5
    assert float(found.thickness_low) < 0.4 < float(found.thickness_high)
    shifted = _fit(_section(0.2, shell_offset=0.025))
    gap = float(shifted.thickness) - 0.2
    moved = 0.025 * float(shifted.d_sensitivity.sel(departure="offset"))
    half = float(shifted.thickness_high - shifted.thickness_low) / 2
    assert abs(gap) < abs(moved) + half


def test_dead_time_is_part_of_the_model():
    section = _section(0.2)
    with_loss, without = _fit(section), fit_interphase(section.counts, section.distance, core="NiO2-", shell=POX).isel(shell=0)
    # 24 counts in 200 shots: 6 % are lost
    assert float(with_loss.core_level) == pytest.approx(24, rel=0.03)
    assert float(without.core_level / with_loss.core_level) == pytest.approx(200 * -np.expm1(-24 / 200) / 24, abs=0.005)
    with pytest.raises(SsbmapsError, match="counts out of 8 shots; expected at most one per shot"):
        fit_interphase(section.counts, section.distance, core="NiO2-", shell=POX, shots=1)


def test_gaussian_likelihood_agrees_with_poisson():
    section = _section(0.2)
    counts = section.counts.sum("scan").astype(float).assign_attrs(units="counts")
    plain = fit_interphase(section.counts, section.distance, core="NiO2-", shell=POX).isel(shell=0)
    for variance in (None, np.maximum(section.expected.sum("scan").astype(float), 0.05)):
        found = fit_interphase(counts, section.distance, core="NiO2-", shell=POX, likelihood="gaussian", variance=variance)
        # the same data weighted otherwise: within half a standard error
        assert float(found.thickness[0]) == pytest.approx(float(plain.thickness), abs=0.5 * float(plain.thickness_sd))
        assert 0.7 < float(found.dispersion[0]) < 1.5


def test_every_container_gives_the_same():
    section = _section(0.2)
    expected = _fit(section)
    series = section.counts
    others = [
        series.transpose("x", "fragment", "scan", "y"),
        series.chunk({"scan": 2, "x": 50}),
        series.copy(data=sparse.COO.from_numpy(series.values)),
    ]
    for counts in others:
        xr.testing.assert_allclose(_fit(section, counts).drop_vars("statement"), expected.drop_vars("statement"), rtol=1e-9)
    summed = fit_interphase(
        series.sum("scan").astype("int64").assign_attrs(units="counts"), section.distance, core="NiO2-", shell=POX
    )
    direct = fit_interphase(series, section.distance, core="NiO2-", shell=POX)
    np.testing.assert_allclose(summed.thickness, direct.thickness)


def test_several_shells_and_particles():
    layout = synthetic.Layout(gap=2.0, touching=0, fill=0.25, radius=(1.2, 2.2), fibres=0, voids=0, cracked=0)
    section = synthetic.cross_section(seed=4, shape=(144, 160), n_scans=4, thickness=0.3, thickness_SOx=0.15, layout=layout)
    shells = {**POX, "SOx": ["SO2-", "SO3-"]}
    found = fit_interphase(section.counts, section.distance, core="NiO2-", shell=shells, shots=25)
    assert found.shell.values.tolist() == ["POx", "SOx"]
    for name, planted in (("POx", 0.3), ("SOx", 0.15)):
        one = found.sel(shell=name)
        assert float(one.thickness_low) < planted < float(one.thickness_high)
        assert np.pi / 4 < float(one.true_thickness / one.thickness) < 1  # less than the 4/π of a flat interface
        assert float(one.shell_consistency_p) > 1e-3
    assert np.isnan(found.core_consistency).all()  # one ion
    good = found.particle_thickness_sd.sel(shell="POx") < 0.05
    assert int(good.sum()) >= 3
    pulls = ((found.particle_thickness - 0.3) / found.particle_thickness_sd).sel(shell="POx").values[good]
    assert np.abs(pulls).max() < 4
    planted = section.particle_perimeter.values if "particle_perimeter" in section else None
    if planted is not None:
        assert float(found.particle_perimeter.max()) == pytest.approx(planted.max(), rel=0.1)
    planar = fit_interphase(section.counts, section.distance, core="NiO2-", shell=POX, geometry="planar")
    assert "true_thickness" not in planar
    assert "particle" not in planar.dims


def test_result_follows_the_contract(tmp_path):
    section = _section(0.2)
    found = fit_interphase(section.counts, section.distance, core="NiO2-", shell=POX, shots=25, rng=5)
    assert found.attrs["history"].splitlines()[-1].startswith("ssbmaps.interfaces.fit_interphase")
    assert '"rng": 5' in found.attrs["history"]
    assert all({"units", "long_name"} <= set(v.attrs) for v in found.data_vars.values())
    assert found.thickness.attrs["units"] == "um"
    assert found.excess.attrs["units"] == "counts um"
    for name in ("found.nc", "found.zarr"):
        io.save(found, tmp_path / name)
        xr.testing.assert_identical(io.load(tmp_path / name), found)
    text = str(found.statement.values[0])
    assert text.startswith("Apparent thickness of the POx-emitting region in this section: ")
    assert "ion-yield variation not included" in text
    assert "Isotropic-section estimate of the true thickness: " in text
    same = fit_interphase(section.counts, section.distance, core="NiO2-", shell=POX, shots=25, rng=5)
    xr.testing.assert_identical(same, found)


def test_measured_where_and_missing_pixels():
    section = _section(0.2)
    right = xr.DataArray(np.broadcast_to(np.arange(128) > 64, (112, 128)), section.distance.coords, ("y", "x"))
    half = _fit(section, where=right)
    assert float(half.contact) == pytest.approx(0.49, abs=0.03)
    blank = section.counts.where(right, 60000).astype("uint32").assign_coords(measured=(("y", "x"), right.values))
    np.testing.assert_allclose(_fit(section, blank.assign_attrs(units="counts")).thickness, half.thickness)


def test_refused_input():
    section = _section(0.2)
    counts, away = section.counts, section.distance
    message = r"(?s)3 faults.*geometry='round'.*reach=-1.*offset_sd=-0.1"
    with pytest.raises(SsbmapsError, match=message):
        fit_interphase(counts, away, core="NiO2-", shell=POX, geometry="round", reach=-1, offset_sd=-0.1)
    with pytest.raises(SsbmapsError, match=r"reference_level=\{'SOx': 9\}; expected a positive number, by shell out of POx"):
        fit_interphase(counts, away, core="NiO2-", shell=POX, reference_level={"SOx": 9})
    with pytest.raises(SsbmapsError, match=r"(?s)likelihood='poisson' needs whole counts.*variance is given"):
        fit_interphase(counts.astype(float), away, core="NiO2-", shell=POX, variance=counts.astype(float))
    with pytest.raises(SsbmapsError, match=r"shell=\[\]; expected"):
        fit_interphase(counts, away, core="NiO2-", shell=[])
    with pytest.raises(SsbmapsError, match=r"shell Xe-: .*Xe- not in the maps"):
        fit_interphase(counts, away, core="NiO2-", shell="Xe-")
    with pytest.raises(SsbmapsError, match="core and shell share a fragment"):
        fit_interphase(counts, away, core="PO2-", shell=POX)
    with pytest.raises(SsbmapsError, match=r"the core's signal falls from .* it shows no edge"):
        fit_interphase(counts, away, core="S-", shell=POX)
    with pytest.raises(SsbmapsError, match=r"distance is in 'nm'; expected um"):
        fit_interphase(counts, away.assign_attrs(units="nm"), core="NiO2-", shell=POX)
    with pytest.raises(GridMismatchError, match="different grids"):
        fit_interphase(counts, away.isel(x=slice(50)), core="NiO2-", shell=POX)
    with pytest.raises(SsbmapsError, match="usable pixels inside the core and"):
        fit_interphase(counts, away, core="NiO2-", shell=POX, where=away > 1)


def test_a_phosphate_core_is_no_marker():
    section = _section(0.2)
    counts = section.counts.copy()
    rng = np.random.default_rng(0)
    core = (section.distance.values < 0)[None] * 2.0
    counts.loc[{"fragment": "PO3-"}] += rng.poisson(core, counts.sel(fragment="PO3-").shape).astype(counts.dtype)
    with pytest.raises(SsbmapsError, match=r"the core emits more of this signal .* marks no interphase"):
        fit_interphase(counts, section.distance, core="NiO2-", shell=POX)


def test_the_bound():
    plan = {"core": (24, 0.5, 0.2), "shell": (0.2, 9, 0.4), "sigma": 0.09, "pixel_size": 0.1}
    several = interphase_bound(thickness=[0.1, 0.2, 0.4], length=20, **plan)
    assert (np.diff(several.thickness_sd) < 0).all()
    double = interphase_bound(thickness=0.2, length=40, **plan)
    np.testing.assert_allclose(double.thickness_sd * np.sqrt(2), several.thickness_sd.sel(thickness=0.2))
    assert double.thickness_sd.attrs["units"] == "um"
    # the case of the design, with the levels that it leaves open: 45.1, 17.4, 8.5, 5.3, 4.4 nm
    case = {"core": (8, 0.1, 0.1), "shell": (0.2, 9, 1.2), "beam_fwhm": 0.2, "pixel_size": 0.1, "length": 20}
    found = interphase_bound(thickness=[0.05, 0.1, 0.2, 0.4, 0.8], **case).thickness_sd * 1e3
    np.testing.assert_allclose(found, [45.1, 17.4, 8.5, 5.3, 4.4], rtol=0.01)
    with pytest.raises(SsbmapsError, match=r"(?s)length=None.*core=\(1, 2\); expected three levels"):
        interphase_bound(thickness=0.2, core=(1, 2), shell=(0.2, 9, 0.4), sigma=0.09, pixel_size=0.1)


def test_the_bound_of_a_measurement():
    found = fit_interphase(_section(0.2).counts, _section(0.2).distance, core="NiO2-", shell=POX, shots=25)
    bound = interphase_bound(found, pixel_size=0.1)
    assert bound.thickness_sd.dims == ("shell",)
    half_width = float(found.thickness_high[0] - found.thickness_low[0]) / 2
    offset_term = 1.96 * 0.01 * float(found.d_sensitivity.sel(departure="offset")[0])
    # without the offset prior the interval is that of the bound, up to the likelihood's skewness
    assert np.sqrt(half_width**2 - offset_term**2) / 1.96 == pytest.approx(float(bound.thickness_sd[0]), rel=0.25)
    with pytest.raises(SsbmapsError, match="the measurement lacks interface_length"):
        interphase_bound(found.drop_vars("interface_length"), pixel_size=0.1)
