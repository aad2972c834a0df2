"""measure_interphase: planted thickness from counts alone; held-out outlines, drift, directions, refusals, spheres."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.integrate import quad

from ssbmaps import DataQualityWarning, SsbmapsError, synthetic
from ssbmaps.interfaces import fit_interphase, measure_interphase
from ssbmaps.interfaces._section import Section, section_spread, shown
from ssbmaps.interfaces._views import by_pixels, by_scans, by_thinning, gathered, stepped, totals
from ssbmaps.maps import align_scans, label_phases

POX = {"POx": ["PO2-", "PO3-"]}
SHOTS = 25


def section_of(seed: int = 11, **changes: object) -> xr.Dataset:
    options: dict[str, object] = {"shape": (150, 170), "n_scans": 6, "thickness": 0.2, **changes}
    return synthetic.cross_section(seed=seed, **options)  # type: ignore[arg-type]


def measured(section: xr.Dataset, **options: object) -> xr.Dataset:
    given: dict[str, object] = {"core": "NiO2-", "shell": POX, "shots": SHOTS, **options}
    return measure_interphase(section["counts"], **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def section() -> xr.Dataset:
    return section_of()


@pytest.fixture(scope="module")
def result(section: xr.Dataset) -> xr.Dataset:
    shells = {**POX, "SOx": ["SO2-", "SO3-"]}
    return measured(section, shell=shells, reference_level={"POx": 9.0, "SOx": 6.0})


@pytest.fixture(scope="module")
def disc() -> xr.Dataset:
    """One particle, for what does not depend on how many there are."""
    return section_of(shape=(96, 110), geometry="disc", n_scans=5)


@pytest.fixture(scope="module")
def disc_result(disc: xr.Dataset) -> xr.Dataset:
    return measured(disc)


def test_planted_thickness_is_covered(section: xr.Dataset, result: xr.Dataset) -> None:
    """Some 70 um of edge bound the standard error to 3 nm; with 2 % + 4 nm of systematics, 25 nm is three standard errors."""
    one = result.sel(shell="POx")
    assert float(one.thickness_low) < section.attrs["thickness_POx"] < float(one.thickness_high)
    assert abs(float(one.thickness) - 0.2) < 0.025
    assert float(one.thickness_high - one.thickness_low) < 0.08
    assert int(one.above_noise) == int(one.resolved) == 1
    assert float(one.excess) == pytest.approx(0.2 * 8.6, rel=0.05)  # 9 counts over 0.4 of the electrolyte
    assert float(one.equivalent_thickness_low) < 0.2 < float(one.equivalent_thickness_high)
    assert str(one.statement.values).startswith("Apparent thickness of the POx-emitting region in this section: ")


def test_shells_share_the_outline_and_are_never_pooled(result: xr.Dataset) -> None:
    assert list(result.shell.values) == ["POx", "SOx"]
    thin = result.sel(shell="SOx")  # 0.08 um planted: a value that covers, or a limit above it
    covered = float(thin.thickness_low) < 0.08 < float(thin.thickness_high) if int(thin.resolved) else thin.upper_limit > 0.08
    assert bool(covered)
    assert float(abs(result.offset.diff("shell")).max()) < 0.03  # the same outline beneath both


def test_particles_and_segments_add_up(section: xr.Dataset, result: xr.Dataset) -> None:
    one = result.sel(shell="POx")
    assert float(one.segment_length.sum()) == pytest.approx(float(one.particle_perimeter.sum()), rel=1e-6)
    used = float((one.segment_contact * one.segment_length).sum())
    assert used == pytest.approx(float((one.particle_contact * one.particle_perimeter).sum()), rel=0.05)
    assert used == pytest.approx(float(one.interface_length), rel=0.05)
    for part, length in (("particle", "particle_perimeter"), ("segment", "segment_length")):
        d = one[f"{part}_thickness"]
        weight = (one[length] * one[f"{part}_contact"]).where(np.isfinite(d), 0)
        mean = float((d.fillna(0) * weight).sum() / weight.sum())
        assert mean == pytest.approx(0.2, abs=0.012), part  # dead time must not make single particles look thicker
    within = [(one[f"vertex_{a}"] >= section[a].min() - 0.05) & (one[f"vertex_{a}"] <= section[a].max() + 0.05) for a in "yx"]
    assert bool((within[0] & within[1]).all())
    assert set(np.unique(one.vertex_segment)) == set(range(result.sizes["segment"]))


def test_outline_lies_on_the_planted_one(section: xr.Dataset, result: xr.Dataset) -> None:
    """Root-mean-square distance of the vertices from the planted outline: 20 nm is twice what 24 counts in 4 pixels allow."""
    y, x = (xr.DataArray(result[f"vertex_{a}"].values, dims="vertex") for a in "yx")
    inner = (y > 0.5) & (y < 14.5) & (x > 0.5) & (x < 16.5)
    away = section["distance"].interp(y=y, x=x).where(inner)
    cracked = abs(away) > 0.15  # mouths of cracks, which are closed
    assert float(cracked.where(inner).mean()) < 0.03
    assert float(np.sqrt((away.where(~cracked) ** 2).mean())) < 0.02


def test_same_answer_again_for_any_order_of_dims_and_kind_of_array(disc: xr.Dataset, disc_result: xr.Dataset) -> None:
    small, plain = disc, disc_result
    before = small["counts"].copy(deep=True)
    turned = small.assign(counts=small["counts"].transpose("x", "fragment", "scan", "y"))
    lazy = small.assign(counts=small["counts"].chunk({"scan": 2}))
    for other in (small, turned, lazy):
        again = measured(other)
        np.testing.assert_array_equal(again.thickness.values, plain.thickness.values)
        np.testing.assert_array_equal(again.segment_thickness.values, plain.segment_thickness.values)
    xr.testing.assert_identical(small["counts"], before)
    assert "measure_interphase" in plain.attrs["history"]
    assert all("units" in v.attrs and "long_name" in v.attrs for v in plain.data_vars.values())


def test_maps_without_scans_are_thinned() -> None:
    steady = section_of(shape=(128, 140), instrument=synthetic.Instrument(drift=0, drift_walk=0))
    whole = steady["counts"].sum("scan").astype("int64").assign_attrs(steady["counts"].attrs)
    found = measure_interphase(whole, core="NiO2-", shell=POX, shots=SHOTS * 6).isel(shell=0)
    assert float(found.thickness_low) < 0.2 < float(found.thickness_high)
    few = measured(steady.isel(scan=slice(0, 2))).isel(shell=0)  # a third of the counts, thinned too
    assert float(few.thickness_low) < 0.2 < float(few.thickness_high)


def test_gaussian_maps_are_split_by_pixel() -> None:
    steady = section_of(shape=(128, 140), instrument=synthetic.Instrument(drift=0, drift_walk=0, dead_time=0))
    values = steady["counts"].sum("scan").astype("float64").assign_attrs(units="arbitrary")
    found = measure_interphase(values, core="NiO2-", shell=POX, likelihood="gaussian", variance=values + 1.0).isel(shell=0)
    assert float(found.thickness_low) < 0.2 < float(found.thickness_high)
    free = measure_interphase(values, core="NiO2-", shell=POX, likelihood="gaussian").isel(shell=0)
    assert float(free.thickness_low) < 0.2 < float(free.thickness_high)


def test_drift_moves_the_geometry() -> None:
    """A drift of 6 pixels smears the edge by 1.7 pixels if it is ignored; known, it leaves the width of the beam."""
    drifting = section_of(shape=(128, 140), instrument=synthetic.Instrument(drift=0.6, drift_walk=0.0))
    followed, ignored = measured(drifting).isel(shell=0), measured(drifting, shifts="none").isel(shell=0)
    assert float(followed.sigma) == pytest.approx(float(np.hypot(0.2 / 2.3548, 0.1 / np.sqrt(12))), abs=0.008)
    assert float(ignored.sigma) > 0.13
    assert float(followed.thickness_low) < 0.2 < float(followed.thickness_high)


def test_shifts_that_are_given_are_those_found(disc: xr.Dataset, disc_result: xr.Dataset) -> None:
    shifts = align_scans(disc["counts"].sel(fragment=["C2-", "S-", "Cl-", "PS-", "NiO2-"]))
    assert float(abs(shifts.shift_x).max()) > 0.01
    np.testing.assert_array_equal(measured(disc, shifts=shifts).thickness.values, disc_result.thickness.values)
    still = shifts.assign(shift_x=0 * shifts.shift_x, shift_y=0 * shifts.shift_y)
    assert float(measured(disc, shifts=still).thickness[0]) != float(disc_result.thickness[0])


def test_blank_and_repeated_scans_are_left_out() -> None:
    steady = section_of(shape=(96, 110), geometry="disc", n_scans=7, instrument=synthetic.Instrument(drift=0.1))
    values = steady["counts"].values.copy()
    values[2] = 0
    values[5] = values[4]
    with pytest.warns(DataQualityWarning, match="blank|no counts|repeat"):
        found = measured(steady.assign(counts=steady["counts"].copy(data=values))).isel(shell=0)
    assert float(found.thickness_low) < 0.2 < float(found.thickness_high)
    assert float(found.core_level) == pytest.approx(24 * 5 / 7, rel=0.08)  # five scans' worth of counts


def test_no_shell_is_no_shell() -> None:
    bare = section_of(thickness=0.0)
    found = measured(bare, reference_level=9.0).isel(shell=0)
    assert int(found.above_noise) == 0
    assert np.isnan(float(found.thickness))
    assert 0 < float(found.upper_limit) < 0.01
    assert str(found.statement.values).startswith("Not distinguishable from the reference contact")
    assert np.isnan(found.segment_thickness.values).all()


def test_fibres_cracks_and_voids_make_no_shell() -> None:
    layout = synthetic.Layout(fill=0.35, fibres=0.06, voids=0.06, cracked=1.0, contact_loss=0.4)
    found = measured(section_of(thickness=0.0, layout=layout)).isel(shell=0)
    assert int(found.above_noise) == 0
    assert float(found.contact) < 0.95


def test_touching_particles_are_told_apart_and_gaps_left_out() -> None:
    layout = synthetic.Layout(touching=1.0, fill=0.6, radius=(1.0, 2.0), fibres=0, voids=0, cracked=0)
    crowded = section_of(layout=layout)
    found = measured(crowded).isel(shell=0)
    assert float(found.thickness_low) < 0.2 < float(found.thickness_high)
    assert float(found.contact) < 0.9


def test_stretched_maps_look_tilted(section: xr.Dataset) -> None:
    """A face seen at 52° and not corrected: y is 1.27 times too short, so are edges that face y."""
    squeezed = section.assign_coords(y=("y", section.y.values / 1.27, section.y.attrs))
    found = measured(squeezed).isel(shell=0)
    p = dict(zip(found.harmonic.values, found.thickness_modulation_p.values, strict=True))
    assert p["cos 2φ"] < 1e-3 < p["cos φ"]
    half = 0.5 * (0.2 - 0.2 / 1.27)
    assert float(found.thickness_modulation.sel(harmonic="cos 2φ")) == pytest.approx(half, rel=0.4)
    assert "compatible with tilt or astigmatism" in str(found.statement.values)


def test_upright_maps_do_not(result: xr.Dataset) -> None:
    assert float(result.thickness_modulation_p.sel(shell="POx").min()) > 1e-3
    assert "tilt" not in str(result.statement.sel(shell="POx").values)


def test_particles_that_differ_are_averaged_by_perimeter() -> None:
    """Shells of 0.1 to 0.4 um: the pooled thickness is their mean over the edges, not the best box of a smeared profile."""
    layout = synthetic.Layout(fibres=0, voids=0, cracked=0, gap=1.2, fill=0.3)
    spread = section_of(seed=21, shape=(220, 240), layout=layout, departures=synthetic.Departures(thickness_spread=0.5))
    found = measured(spread).isel(shell=0)
    near = np.hypot(
        found.particle_y.values[:, None] - spread.particle_y.values, found.particle_x.values[:, None] - spread.particle_x.values
    ).argmin(axis=1)
    own, truth = found.particle_thickness.values, spread.particle_thickness_POx.values[near]
    inner = np.isfinite(own)
    weight = (found.particle_perimeter * found.particle_contact).values[inner]
    planted = np.average(truth[inner], weights=weight)
    assert float(found.thickness_low) < planted < float(found.thickness_high)
    assert float(found.thickness) == pytest.approx(planted, rel=0.06)
    assert str(found.model.values) == "box"
    inner &= found.particle_perimeter.values > 5
    assert np.corrcoef(own[inner], truth[inner])[0, 1] > 0.95


def test_spheres_give_the_true_thickness() -> None:
    balls = section_of(seed=31, shape=(192, 200), geometry="spheres")
    found = measured(balls).isel(shell=0)
    assert float(found.thickness) == pytest.approx(balls.attrs["thickness_POx"], rel=0.08)
    assert float(found.true_thickness_low) < 0.2 < float(found.true_thickness_high)
    assert float(found.true_thickness) < 0.92 * float(found.thickness)


def test_planar_stacks_are_not_corrected() -> None:
    stack = section_of(geometry="planar", shape=(90, 110))
    found = measured(stack, geometry="planar", shifts="none").isel(shell=0)
    assert float(found.thickness_low) < 0.2 < float(found.thickness_high)
    assert "true_thickness" not in found
    assert "particle" not in found.dims


def test_particles_on_the_border_end_there() -> None:
    """A disc whose right half lies beyond the frame: nothing is measured where its outline has left the map."""
    whole = section_of(shape=(120, 150), geometry="disc", n_scans=5)
    half = whole.isel(x=slice(0, 75))
    found = measured(half).isel(shell=0)
    assert float(found.thickness_low) < 0.2 < float(found.thickness_high)
    assert float(found.vertex_x.max()) < float(half.x.max()) + 0.1
    assert float(found.particle_perimeter.sum()) == pytest.approx(np.pi * 3.6, rel=0.03)
    assert 0.8 < float(found.contact) < 1


def test_particles_closer_than_the_shell_have_no_edge_of_their_own() -> None:
    layers = (("electrolyte", 3.0), ("NMC", 2.0), ("electrolyte", 0.45), ("NMC", 2.0), ("electrolyte", 3.0))
    close = section_of(geometry="planar", shape=(110, 90), thickness=0.2, layout=synthetic.Layout(layers=layers))
    found = measured(close, geometry="planar", shifts="none").isel(shell=0)
    assert 0.3 < float(found.contact) < 0.5  # of the two outer edges of four, but where they leave the map
    assert float(found.thickness_low) < 0.2 < float(found.thickness_high)
    with pytest.raises(SsbmapsError, match=r"usable pixels inside the core .* closer to each other than the shell"):
        measured(close.isel(y=slice(40, 70)), geometry="planar", shifts="none")


def test_empty_channels_and_single_scans(disc: xr.Dataset) -> None:
    counts = disc["counts"].copy(deep=True)
    counts.loc[{"fragment": ["PO2-", "PO3-"]}] = 0
    nothing = measured(disc.assign(counts=counts), reference_level=9.0).isel(shell=0)
    assert int(nothing.above_noise) == 0
    assert str(nothing.statement.values).startswith("Not distinguishable")
    one = measured(disc.isel(scan=[0])).isel(shell=0)
    assert int(one.above_noise) == 1
    assert int(one.interface_length) > 10


def test_small_integers_do_not_overflow(disc: xr.Dataset, disc_result: xr.Dataset) -> None:
    narrow = disc.assign(counts=disc["counts"].astype("uint8").assign_attrs(disc["counts"].attrs))
    np.testing.assert_array_equal(measured(narrow).thickness.values, disc_result.thickness.values)


def test_reference_is_a_pristine_section() -> None:
    mixed = synthetic.Departures(mixing_layer=0.005)
    small = {"geometry": "disc", "shape": (96, 110), "n_scans": 5, "departures": mixed}
    pristine = measured(section_of(seed=12, thickness=0.0, **small))
    other = measured(section_of(seed=13, thickness=0.0, **small), reference=pristine)
    aged = measured(section_of(seed=13, thickness=0.05, **small), reference=pristine)
    assert aged.above_reference.item() == 1
    assert other.above_reference.item() == 0


def test_own_labels_and_masks(section: xr.Dataset) -> None:
    totals = section["counts"].sum("scan").astype("int64").assign_attrs(section["counts"].attrs)
    labels = label_phases(totals, {"NMC": "NiO2-", "electrolyte": "S-"})
    right = (section.x > 8).broadcast_like(section["distance"]).transpose("y", "x")
    found = measured(section, labels=labels, phase="NMC", where=right).isel(shell=0)
    assert float(found.thickness_low) < 0.2 < float(found.thickness_high)
    assert bool((found.segment_x.where(found.segment_contact > 0) > 7.5).sum() == (found.segment_contact > 0).sum())


def test_unknown_surroundings_warn(disc: xr.Dataset) -> None:
    two = disc.sel(fragment=["NiO2-", "PO2-", "PO3-"])
    with pytest.warns(DataQualityWarning, match="no fragment marks what surrounds the core"):
        found = measured(two).isel(shell=0)
    assert int(found.above_noise) == 1


# --- refusals -------------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::ssbmaps.DataQualityWarning")
def test_fibres_are_no_core() -> None:
    layout = synthetic.Layout(fibres=0.05)
    with pytest.raises(SsbmapsError, match=r"less than 4 σ|less than 2 σ|usable pixels inside the core"):
        measured(section_of(layout=layout), core="C2-", others=[])


def test_specks_are_no_core() -> None:
    """Discs of 0.3 um under a beam of 0.4 um: smaller than 2 σ."""
    y, x = (np.arange(n) * 0.1 + 0.05 for n in (80, 90))
    inside = np.zeros((80, 90), np.int16)
    inside[10:70:12, 10:80:12] = 1
    labels = xr.DataArray(inside, {"y": y, "x": x}, ("y", "x"))
    labels.attrs = {"flag_values": np.array([0, 1], "int16"), "flag_meanings": "unassigned NMC", "blur": 0.17}
    counts = np.random.default_rng(1).poisson(1 + 20 * inside[None] * np.ones((3, 1, 1)))
    maps = xr.DataArray(counts, {"fragment": ["NiO2-", "PO2-", "S-"], "y": y, "x": x}, ("fragment", "y", "x"))
    with pytest.raises(SsbmapsError, match="less than 2 σ"):
        measure_interphase(maps.assign_attrs(units="counts"), core="NiO2-", shell="PO2-", labels=labels, phase="NMC")


def test_phosphate_cores_are_refused() -> None:
    phosphate = section_of(shape=(96, 110), geometry="disc", n_scans=5, levels={"NMC": {"PO2-": 30.0, "PO3-": 30.0}})
    with pytest.raises(SsbmapsError, match="the core emits more of this signal"):
        measured(phosphate)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"core": "CoO2-"}, "CoO2-"),
        ({"shell": {}}, "expected 'PO2-'"),
        ({"shell": {"POx": ["PO2-", "NiO2-"]}}, "core and shell share a fragment"),
        ({"geometry": "cubes"}, "geometry='cubes'"),
        ({"likelihood": "least squares"}, "likelihood='least squares'"),
        ({"shots": 2}, "at most one per shot"),
        ({"shifts": "guess"}, "shifts='guess'"),
        ({"phase": "NMC"}, "labels and phase belong together"),
        ({"systematic": (0.02,)}, "systematic="),
        ({"smoothing": -1.0}, "smoothing=-1.0"),
        ({"reach": 0.0}, "reach=0.0"),
        ({"surroundings": "Xx2-"}, "Xx2-"),
        ({"reference_level": {"other": 3.0}}, "reference_level"),
    ],
)
def test_wrong_options_get_a_letter(disc: xr.Dataset, change: dict[str, object], match: str) -> None:
    with pytest.raises(SsbmapsError, match=match):
        measured(disc, **change)


def test_wrong_maps_get_a_letter(disc: xr.Dataset) -> None:
    counts = disc["counts"]
    negative = counts.astype("int64").copy()
    negative[0, 0, 0, 0] = -1
    with pytest.raises(SsbmapsError, match="negative"):
        measured(disc.assign(counts=negative.assign_attrs(counts.attrs)))
    with pytest.raises(SsbmapsError, match="Measure every time by itself"):
        measured(xr.Dataset({"counts": counts.rename(scan="time")}))
    blank = counts.copy(data=np.zeros_like(counts.values))
    with pytest.raises(SsbmapsError, match="is constant"):
        measured(disc.assign(counts=blank), shifts="none")
    with pytest.raises(SsbmapsError, match="no shift_y"):
        measured(disc, shifts=xr.Dataset({"shift_x": ("scan", np.zeros(5))}))
    everywhere = disc["phase_map"].copy(data=np.ones(counts.shape[-2:], np.int16))
    with pytest.raises(SsbmapsError, match="every measured pixel belongs to the core"):
        measured(disc, labels=everywhere, phase="NMC")
    nowhere = disc["phase_map"].copy(data=np.full(counts.shape[-2:], 2, np.int16))
    with pytest.raises(SsbmapsError, match="no pixel belongs to the core"):
        measured(disc, labels=nowhere, phase="NMC")
    with pytest.raises(SsbmapsError, match="no pixel is left near the core's edge"):
        measured(disc, where=disc["distance"].copy(data=np.zeros(counts.shape[-2:], bool)))


# --- parts ----------------------------------------------------------------------------------------------------------------------


def test_views_hold_every_count_once() -> None:
    rng = np.random.default_rng(4)
    counts = rng.poisson(3.0, (7, 2, 12, 15)).astype(np.uint32)
    shifts = np.column_stack([np.linspace(-0.3, 0.3, 7), np.zeros(7)])
    scans = by_scans(counts, [0, 1], shifts, (0.1, 0.1))
    assert sum(v.share for v in scans) == pytest.approx(1)
    assert {v.fold for v in scans} == set(range(5))
    np.testing.assert_array_equal(sum(v.values for v in scans), counts.sum(axis=0))
    parts = by_thinning(counts.sum(axis=0), rng)
    np.testing.assert_array_equal(sum(v.values for v in parts), counts.sum(axis=0))
    assert all(v.values.min() >= 0 for v in parts)
    pixels = by_pixels(counts.sum(axis=0).astype(float), np.ones((2, 12, 15)), rng)
    assert np.all(sum(v.held.astype(int) for v in pixels) == 1)  # type: ignore[union-attr]
    known = np.ones((12, 15), bool)
    whole = gathered(pixels, [0], known)
    np.testing.assert_array_equal(whole, counts[:, 0].sum(axis=0))
    assert np.array_equal(np.isnan(gathered(pixels[1:], [0], known)), pixels[0].held)


def test_thinned_parts_are_independent() -> None:
    """Covariance of two fifths of Poisson counts is 0; of a split at fixed totals it would be −mean / 25."""
    parts = by_thinning(np.random.default_rng(5).poisson(20.0, (1, 300, 300)), np.random.default_rng(6))
    a, b = (p.values.ravel() for p in parts[:2])
    assert abs(np.cov(a, b)[0, 1]) < 4 * 4.0 / np.sqrt(a.size)


def test_scans_step_by_whole_pixels() -> None:
    values = np.arange(12.0).reshape(3, 4)
    moved = stepped(values, np.array([1, -1]))
    np.testing.assert_array_equal(moved[1:, :3], values[:2, 1:])
    assert np.isnan(moved[0]).all()
    assert np.isnan(moved[:, 3]).all()
    total, covered = totals(np.stack([values, values])[:, None].astype(int), np.array([[0.0, 0.0], [0.1, -0.1]]), (0.1, 0.1))
    assert covered.sum() == 2 * 3
    np.testing.assert_array_equal(total[0][covered], (values + np.nan_to_num(moved))[covered])


def test_section_factor_of_spheres() -> None:
    """4/π for a thin shell, 1.18 at a fifth of the radius (design), and the integral by another road."""
    assert shown(1e-4, 1.0, 0.0) / 1e-4 == pytest.approx(4 / np.pi, rel=3e-3)
    assert shown(0.2, 1.0, 0.0) / 0.2 == pytest.approx(1.175, abs=0.002)
    top = np.sqrt(1 - 0.3**2)
    radius = lambda h: np.sqrt(1 - h * h)  # noqa: E731
    upper, _ = quad(lambda h: radius(h) * (np.sqrt(1.1**2 - h * h) - radius(h)), 0, top)
    lower, _ = quad(radius, 0, top)
    assert shown(0.1, 1.0, 0.3) == pytest.approx(upper / lower, rel=1e-4)
    back = Section(0.0, radius=2.0 * 8 / (3 * np.pi), least=0.1)
    assert back.true(shown(0.15, 2.0, 0.1)) == pytest.approx(0.15, rel=1e-6)
    assert Section(0.0, radius=0.1, least=0.4).true(0.2) == pytest.approx(np.pi / 4 * 0.2)


def test_spread_of_particles_needs_two() -> None:
    weight = np.array([5.0, 8.0, 3.0])
    assert np.isnan(section_spread(weight, (np.array([0.2, np.nan, np.nan]), np.full(3, 0.01))))
    assert np.isnan(section_spread(weight, None))
    alike = section_spread(weight, (np.array([0.2, 0.2, 0.2]), np.full(3, 0.01)))
    assert section_spread(weight, (np.array([0.2, 0.25, 0.15]), np.full(3, 0.01))) > alike


def test_random_sections_scatter_as_stated() -> None:
    """Thin shells around equal spheres, twelve of them cut at random heights: spread of the weighted mean over the mean."""
    rng = np.random.default_rng(3)
    radius = np.sqrt(1 - rng.uniform(-1, 1, (20_000, 12)) ** 2)
    means = (radius * (1 / radius)).sum(axis=1) / radius.sum(axis=1)  # r d is constant
    stated = np.median([section_spread(w, (np.full(12, 0.1), np.full(12, 0.01))) for w in radius[:200]])
    assert 1.96 * means.std() / means.mean() == pytest.approx(stated, rel=0.05)


def test_single_particle_has_no_interval_of_the_true_thickness() -> None:
    disc = section_of(shape=(96, 110), geometry="disc", n_scans=5)
    found = measured(disc).isel(shell=0)
    assert np.isfinite(float(found.true_thickness))
    assert np.isnan(float(found.true_thickness_low))
    assert "interval undetermined (a single particle)" in str(found.statement.values)


def test_agrees_with_a_fit_on_the_planted_distance(section: xr.Dataset, result: xr.Dataset) -> None:
    """A second road: the planted distance instead of a found one, on pixels away from carbon and voids."""
    from scipy.ndimage import binary_dilation

    names = section["phase_map"].attrs["flag_meanings"].split()
    bad = np.isin(section["phase_map"].values, [names.index(n) for n in ("carbon", "void")])
    where = section["distance"].copy(data=~binary_dilation(bad, iterations=4))
    fixed = fit_interphase(section["counts"], section["distance"], core="NiO2-", shell=POX, shots=SHOTS, where=where)
    assert float(fixed.thickness.item()) == pytest.approx(float(result.thickness.sel(shell="POx")), abs=0.012)
