"""Quality of a section: each mark planted and found, each test's false alarms counted, and what cannot be tested says so."""

from __future__ import annotations

import numpy as np
import pytest
import sparse
import xarray as xr
from scipy.ndimage import gaussian_filter
from scipy.stats import binom

from ssbmaps import GridMismatchError, SsbmapsError, synthetic
from ssbmaps.interfaces import section_quality
from ssbmaps.interfaces._edge_width_fit import Edge, Side, blurred_step
from ssbmaps.interfaces._quality_charge import charging
from ssbmaps.interfaces._quality_curtain import _sequential, curtaining
from ssbmaps.interfaces._quality_edges import Pixels, by_scan, direction, erosion
from ssbmaps.interfaces._quality_shape import particle_shape
from ssbmaps.interfaces._quality_sides import Beside, redeposition, shadowing

CHECKS = [
    "curtaining",
    "redeposition",
    "shadowing",
    "mass_shift",
    "mass_width",
    "edge_position",
    "edge_width",
    "edge_direction",
    "particle_shape",
]
PIXEL = (0.1, 0.1)
NMC = {"phase": "NMC", "marker": "NiO2-"}


def _most(n, level):
    """False alarms out of `n` that an honest test at `level` exceeds once in a thousand."""
    return int(binom.isf(1e-3, n, level))


@pytest.fixture(scope="module")
def section():
    layout = synthetic.Layout(radius=(0.5, 1.4), cracked=0, fibres=0.01)
    return synthetic.cross_section(seed=4, shape=(150, 180), n_scans=4, layout=layout)


@pytest.fixture(scope="module")
def table(section):
    return section_quality(section.counts, section.phase_map, distance=section.distance, **NMC)


def _squeezed(section, factor, seed):
    """The section as seen under a tilt that nobody undid: rows averaged over `factor` of them, counts drawn anew."""
    expected = section.expected.values.astype(float)
    edges = np.arange(int(expected.shape[-2] / factor) + 1) * factor
    sums = np.concatenate([np.zeros_like(expected[..., :1, :]), expected.cumsum(axis=-2)], axis=-2)
    whole = np.minimum(edges.astype(int), expected.shape[-2] - 1)
    at = sums[..., whole, :] + (edges - whole)[:, None] * expected[..., whole, :]
    rows = ((edges[:-1] + edges[1:]) / 2).astype(int)
    place = {"y": section.y.values[: len(rows)], "x": section.x.values}
    counts = np.random.default_rng(seed).poisson(np.diff(at, axis=-2) / factor)
    maps = xr.DataArray(counts, {"fragment": section.fragment.values, **place}, section.counts.dims, attrs=section.counts.attrs)
    labels = xr.DataArray(section.phase_map.values[rows], place, ("y", "x"), attrs=section.phase_map.attrs)
    return maps, labels


def _one(found, check):
    return found.sel(check=check)


def test_a_sound_section_is_not_flagged(table):
    assert table.check.values.tolist() == CHECKS
    assert table.flagged.dtype == np.int8
    assert not table.flagged.any()
    untestable = ["redeposition", "mass_shift", "mass_width"]
    assert table.check.values[table.testable == 0].tolist() == untestable
    for name in untestable:
        assert str(_one(table, name).finding.values).startswith("not testable: ")
        assert np.isnan(_one(table, name).p_value)
    assert table.attrs["false_alarms"] == 0.01
    assert "not what caused it" in table.attrs["wording"]


def test_a_squeezed_section_is_flagged_by_shape_and_by_edges(section):
    maps, labels = _squeezed(section, 1.27, seed=1)
    found = section_quality(maps, labels, **NMC)
    shape, edge = _one(found, "particle_shape"), _one(found, "edge_direction")
    assert shape.flagged == 1
    assert abs(float(shape.value) - 1.27) < 3 * float(shape.value_sd) + 0.01  # pixels and labels: about a hundredth
    assert min(shape.direction, 180 - shape.direction) < 3
    assert edge.flagged == 1
    assert 1.05 < float(edge.value) < 1.27  # the pixel's share of the width is not squeezed
    assert min(edge.direction, 180 - edge.direction) < 20
    for one in (shape, edge):
        assert "compatible with an uncorrected tilt" in str(one.finding.values)


def test_drift_between_scans_is_no_tilt():
    """0.4 um of drift: seen in the sum of the scans, gone once each scan tells its own position."""
    layout = synthetic.Layout(radius=(0.5, 1.4), cracked=0, fibres=0)
    moved = synthetic.cross_section(
        seed=5, shape=(150, 180), n_scans=6, layout=layout, instrument=synthetic.Instrument(drift=0.4, drift_walk=0, dead_time=0)
    )
    apart = section_quality(moved.counts, moved.phase_map, distance=moved.distance, **NMC)
    summed = moved.counts.sum("scan", dtype=np.int64).assign_attrs(units="counts")
    together = section_quality(summed, moved.phase_map, distance=moved.distance, **NMC)
    assert _one(together, "edge_direction").flagged == 1
    assert float(_one(together, "edge_direction").value) > 1.2
    assert _one(apart, "edge_direction").flagged == 0
    assert _one(apart, "edge_position").flagged == 0
    assert _one(together, "edge_position").testable == 0
    slope = np.polyfit(moved.drift_x, moved.drift_y, 1)[0]
    expected = np.degrees(np.arctan(slope)) % 180
    turn = abs(float(_one(together, "edge_direction").direction) - expected) % 180
    assert min(turn, 180 - turn) < 10


def _ellipses(rng, aspect=1.0):
    """25 ellipses of any direction on (150, 180) pixels, the picture then squeezed along y by `aspect`."""
    y, x = np.indices((150, 180)) + 0.5
    mask = np.zeros(y.shape, bool)
    for cy in np.arange(5) * 30 + 15:
        for cx in np.arange(6) * 30 + 15:
            ratio, angle, size = np.exp(rng.normal(0, 0.15)), rng.uniform(0, np.pi), rng.uniform(6, 9)
            dy, dx = (y - cy) * aspect, x - cx
            u, v = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
            mask |= (u * ratio) ** 2 + (v / ratio) ** 2 < size**2
    return mask


def test_shapes_raise_no_more_false_alarms_than_stated():
    rng = np.random.default_rng(0)
    p = np.array([particle_shape(_ellipses(rng), PIXEL, rng).p_value for _ in range(40)])
    assert (p <= 0.05).sum() <= _most(40, 0.05)
    assert 0.3 < p.mean() < 0.7


def test_the_aspect_is_recovered_with_its_error():
    rng = np.random.default_rng(1)
    found = [particle_shape(_ellipses(rng, 1.27), PIXEL, rng) for _ in range(20)]
    pulls = np.array([(f.value - 1.27) / f.value_sd for f in found])
    assert abs(pulls.mean()) < 0.9
    assert pulls.std() < 1.7
    assert all(f.p_value < 0.01 for f in found)
    assert {"elongation_cos", "elongation_sin", "particle_y", "particle_x"} == set(found[0].detail)
    x = particle_shape(_ellipses(rng), PIXEL, rng, (0.05, 2.05)).detail["particle_x"][1]
    assert np.median(np.abs((x - 2) % 3 - 1.5)) < 0.05  # planted 3 um apart, from 3.5 um on


def test_few_whole_particles_cannot_be_tested():
    mask = np.zeros((40, 50), bool)
    mask[5:15, 5:15] = mask[:, 40:] = True
    found = particle_shape(mask, PIXEL, np.random.default_rng(0))
    assert not found.testable
    assert "1 particles" in found.finding


def _field(rng, shape=(96, 112)):
    """Counts of two phases with a gain that varies by 5 % over 2 um, and where they lie."""
    labels = (gaussian_filter(rng.normal(size=shape), 9) > 0).astype(int)
    gain = gaussian_filter(rng.normal(size=shape), 10)
    inner = gaussian_filter((labels == labels.max()).astype(float), 1.5)
    return np.where(labels, 60, 25) * (1 + 0.05 * gain / gain.std()), labels, (inner > 0.99) | (inner < 0.01)


def test_stripes_raise_no_more_false_alarms_than_stated():
    rng = np.random.default_rng(2)
    p = []
    for _ in range(16):
        mean, labels, inner = _field(rng, (80, 96))
        p.append(curtaining(rng.poisson(mean).astype(float), labels, inner, PIXEL, 0.05, rng).p_value)
    assert (np.array(p) <= 0.05).sum() <= _most(16, 0.05)
    assert np.mean(p) > 0.3


def test_a_simulation_that_ends_early_keeps_the_rate_of_false_alarms():
    """Where data and draws have one distribution, p ≤ u in a share u of cases; 4 standard errors of 3000 cases."""
    rng = np.random.default_rng(12)
    scores = rng.normal(size=(3000, 100))
    p = np.array([_sequential(s[0], iter(s[1:]), 99) for s in scores])
    for level in (0.01, 0.05, 0.2, 0.5):
        assert abs((p <= level).mean() - level) < 4 * np.sqrt(level / 3000)
    assert _sequential(9.0, iter(np.zeros(99)), 99) == 0.01
    taken = iter(np.ones(99))
    assert _sequential(0.0, taken, 99) == 1.0
    assert len(list(taken)) == 89  # ten draws tell that nothing is there


@pytest.mark.parametrize("angle", [0.0, 63.0, 120.0])
def test_stripes_are_found_with_direction_and_strength(angle):
    """A wave of 0.9 um and 6 % root mean square; its direction is known to a step of frequency over the frequency, 3°."""
    rng = np.random.default_rng(3)
    mean, labels, inner = _field(rng)
    y, x = np.indices(mean.shape) * 0.1
    across = y * np.cos(np.radians(angle)) - x * np.sin(np.radians(angle))
    striped = mean * (1 + 0.06 * np.sqrt(2) * np.sin(2 * np.pi * across / 0.9))
    found = curtaining(rng.poisson(striped).astype(float), labels, inner, PIXEL, 0.01, rng)
    assert found.p_value <= 0.01
    assert min(abs(found.direction - angle), 180 - abs(found.direction - angle)) < 3
    assert found.value == pytest.approx(0.06, rel=0.12)
    assert "compatible with curtaining" in found.finding
    excess, run = found.detail["stripe_excess"][1], found.detail["stripe_angle"][1]
    top = abs(float(run[excess.argmax()]) - angle)
    assert min(top, 180 - top) < 3


def test_a_gain_that_varies_slowly_one_way_is_no_curtain():
    """Three periods of 4 % root mean square across the map; the same wave eight times as short is found."""
    rng = np.random.default_rng(13)
    mean, labels, inner = _field(rng)
    across = (np.arange(mean.shape[1]) + 0.5) / mean.shape[0]
    for periods, low, high in ((3, 0.02, 1.0), (24, 0.0, 0.01)):
        drawn = rng.poisson(mean * (1 + 0.04 * np.sqrt(2) * np.sin(2 * np.pi * periods * across))).astype(float)
        assert low < curtaining(drawn, labels, inner, PIXEL, 0.01, rng).p_value <= high


def test_what_is_hidden_by_edges_everywhere_has_no_stripes():
    nowhere = np.zeros((64, 64), bool)
    found = curtaining(np.ones((64, 64)), np.zeros((64, 64), int), nowhere, PIXEL, 0.01, np.random.default_rng(0))
    assert not found.testable
    assert "0% of 64 x 64 pixels" in found.finding


def _discs(shape=(160, 190), spacing=32, radius=9.0):
    """Discs on a jittered grid: distance (um), normals, number of the nearest one."""
    rng = np.random.default_rng(9)
    centres = np.array([(y, x) for y in range(16, shape[0], spacing) for x in range(16, shape[1], spacing)]) + rng.uniform(-3, 3)
    points = np.indices(shape).reshape(2, -1).T
    away = points[:, None] - centres
    far = np.hypot(*away.T).T
    nearest = far.argmin(axis=1)
    picked = np.arange(len(points)), nearest
    normal = (away[picked] / np.maximum(far[picked], 1e-9)[:, None]).T
    distance = (far[picked] - radius) * 0.1
    return distance.reshape(shape), normal.reshape(2, *shape), (nearest + 1).reshape(shape)


def _around():
    distance, normal, piece = _discs()
    return Beside(distance, normal, piece, (distance < 0).astype(int), np.abs(distance) > 0.3, 1.0, 0.3)


def test_shadows_are_found_and_not_imagined():
    beside, rng = _around(), np.random.default_rng(4)
    towards = np.radians(200)
    side = beside.normal[1] * np.cos(towards) + beside.normal[0] * np.sin(towards)
    p = []
    for _ in range(60):
        gain = gaussian_filter(rng.normal(size=side.shape), 25)
        p.append(shadowing(rng.poisson(60 * (1 + 0.03 * gain / gain.std())).astype(float), "particles", beside, PIXEL).p_value)
    assert (np.array(p) <= 0.05).sum() <= _most(60, 0.05)
    found = shadowing(rng.poisson(60 * (1 + 0.04 * side)).astype(float), "particles", beside, PIXEL)
    assert found.p_value < 1e-3
    assert abs(found.value - 0.04) < 0.006
    assert abs(found.direction - 200) < 8
    assert "higher towards" in found.finding


def test_redeposition_is_found_and_not_imagined():
    beside, rng = _around(), np.random.default_rng(5)
    near = (np.abs(beside.distance) < 0.8).astype(float)
    level = np.where(beside.labels == 1, 0.4, 0.15)
    p, weaker = [], []
    for _ in range(80):
        p.append(redeposition(rng.poisson(level).astype(float), "Ga+", beside).p_value)
        weaker.append(redeposition(rng.poisson(level * (1 - 0.3 * near)).astype(float), "Ga+", beside).p_value)
    assert (np.array(p) <= 0.05).sum() <= _most(80, 0.05)
    assert min(weaker) > 0.5
    found = redeposition(rng.poisson(level * (1 + 0.3 * near)).astype(float), "Ga+", beside)
    assert found.p_value < 1e-3
    assert abs(found.value - 0.3) < 3 * found.value_sd
    assert "Ga+ is stronger within 0.8 um of edges" in found.finding
    assert not redeposition(np.zeros(level.shape), "Ga+", beside).testable


def _pixels(sigma=0.1):
    distance, normal, piece = _discs()
    near = np.abs(distance) < 0.5
    extents = np.sort(np.abs(normal[:, near]) * 0.1, axis=0)
    side = Side(distance[near], extents[1], np.maximum(extents[0], 1e-3 * extents[1]))
    return Pixels(side, normal[:, near], piece[near], Edge(np.array([24.0, 1.0, 0.0, sigma**2]), pixel_variance=0.1**2 / 12))


def _series(pixels, rng, move=0.0, widen=0.0, drift=0.0, n=8):
    """Scans in which the edge moves and widens (um in all) while the stage drifts at random."""
    scans = []
    for t in np.linspace(-0.5, 0.5, n):
        shift = move * t + rng.normal(0, drift, 2) @ pixels.normal
        scans.append(rng.poisson((1 + 23 * blurred_step(pixels.side, (0.1 + widen * t) ** 2, shift)[0]) / n))
    return np.array(scans, float)


def test_an_edge_that_moves_or_widens_is_found_beside_drift():
    pixels, rng = _pixels(), np.random.default_rng(6)
    found = erosion(by_scan(_series(pixels, rng, move=0.03, widen=0.03, drift=0.05), pixels), pixels)
    for check, name in zip(found, ("edge_position", "edge_width"), strict=True):
        assert check.name == name
        assert check.p_value < 0.01
        planted = 0.03 if name == "edge_position" else 0.03 * 0.1 / np.hypot(0.1, 0.1 / np.sqrt(12))
        assert abs(check.value - planted) < 3.5 * check.value_sd
        assert "from the first to the last scan" in check.finding
    assert set(found[0].detail) == {"scan_group", "edge_offset", "edge_offset_sd", "edge_sigma", "edge_sigma_sd"}


def test_scans_raise_no_more_false_alarms_than_stated():
    pixels, rng = _pixels(), np.random.default_rng(7)
    p: dict[str, list[float]] = {"edge_position": [], "edge_width": [], "edge_direction": []}
    for _ in range(12):
        scans = _series(pixels, rng, drift=0.03, n=5)
        series = by_scan(scans, pixels)
        for check in (*erosion(series, pixels), direction(scans.sum(axis=0), pixels, series)):
            p[check.name].append(check.p_value)
    for name, values in p.items():
        assert (np.array(values) <= 0.05).sum() <= _most(12, 0.05), name
        assert 0.22 < np.mean(values) < 0.8, name


def test_an_edge_wider_one_way_is_found():
    """σ of 0.13 um along 30° and 0.1 across: with the pixel 0.1331 over 0.1041."""
    pixels, rng = _pixels(), np.random.default_rng(8)
    along = np.cos(np.radians(30)) * pixels.normal[1] + np.sin(np.radians(30)) * pixels.normal[0]
    variance = 0.1**2 + (0.13**2 - 0.1**2) * along**2
    counts = rng.poisson(1 + 23 * blurred_step(pixels.side, variance)[0]).astype(float)
    found = direction(counts, pixels, "no scans")
    assert found.p_value < 0.01
    assert abs(found.value - 0.1331 / 0.1041) < 3 * found.value_sd
    assert abs(found.direction - 30) < 12
    for check in erosion(by_scan(counts[None], pixels), pixels):
        assert not check.testable
        assert check.finding == "not testable: 1 scans; 4 are needed"


def test_a_straight_edge_tells_no_directions():
    section = synthetic.cross_section(shape=(50, 60), n_scans=4, geometry="planar", thickness=0)
    found = section_quality(section.counts, section.phase_map, distance=section.distance, **NMC)
    for name in ("edge_position", "edge_width", "edge_direction"):
        assert found.testable.sel(check=name) == 0
        assert "does not run in all directions" in str(_one(found, name).finding.values)
    assert not found.flagged.any()


def test_without_an_edge_the_rest_is_still_said(section):
    """A marker without contrast: nothing about edges, and a reason."""
    found = section_quality(section.counts, section.phase_map, distance=section.distance, phase="NMC", marker="SO3-")
    assert "the marker shows no edge" in str(_one(found, "edge_direction").finding.values)
    assert _one(found, "particle_shape").testable == 1


def _peaks(rng, shift_ppm=0.0, widen=0.0, shape=(64, 80)):
    """A cube with one peak of 40 counts per pixel, shifted and widened from left to right; its map with windows."""
    axis = 35 * (1 + 1e-6 * np.arange(-600, 601, 40))
    column = np.linspace(-0.5, 0.5, shape[1])
    off = (axis / 35 - 1) * 1e6 - shift_ppm * column[:, None]
    peak = np.exp(-0.5 * (off / (120 * (1 + widen * column[:, None]))) ** 2)
    counts = rng.poisson(40 * np.broadcast_to(peak / peak.sum(axis=1, keepdims=True), (*shape, len(axis))))
    place = {"y": (np.arange(shape[0]) + 0.5) * 0.1, "x": (np.arange(shape[1]) + 0.5) * 0.1}
    cube = xr.DataArray(counts, {**place, "mz": axis}, ("y", "x", "mz"), attrs={"units": "counts"})
    window = {"mz": ("fragment", [35.0]), "mz_low": ("fragment", [axis[0]]), "mz_high": ("fragment", [axis[-1]])}
    maps = cube.sum("mz", dtype=np.int64).expand_dims(fragment=["Cl-"]).assign_coords(window)
    return cube, maps, (np.zeros(shape, int), np.ones(shape, bool))


def test_shifted_and_widened_peaks_are_found_and_not_imagined():
    rng = np.random.default_rng(10)
    p = []
    for _ in range(40):
        cube, maps, where = _peaks(rng)
        p.append([c.p_value for c in charging(cube, maps, *where, subject="test")])
    for column in np.array(p).T:
        assert (column <= 0.05).sum() <= _most(40, 0.05)
    cube, maps, where = _peaks(rng, shift_ppm=20)
    found = charging(cube, maps, *where, subject="test")[0]
    assert found.p_value < 1e-3
    assert found.value == pytest.approx(20 / np.sqrt(12), rel=0.2)  # a straight slope; the peak's cut-off flanks take a little
    slope = np.nanmean(found.detail["mass_shift_map"][1], axis=0)
    assert np.corrcoef(slope, np.arange(slope.size))[0, 1] > 0.95
    cube, maps, where = _peaks(rng, widen=0.3)
    wider = charging(cube, maps, *where, subject="test")[1]
    assert wider.p_value < 1e-3
    assert wider.units == "1"


def test_a_cube_is_used_and_a_milling_ion_found_by_its_name(section):
    cube = synthetic.spectrum_cube(section, seed=0)
    ions = np.random.default_rng(0).poisson(0.05, (section.sizes["scan"], 1, 150, 180)).astype(np.uint32)
    values = np.concatenate([section.counts.values, ions], axis=1)
    names = [*section.fragment.values.tolist(), "Ga+"]
    mz = ("fragment", [*section.mz.values.tolist(), 68.925])
    place = {"fragment": names, "mz": mz, "y": section.y.values, "x": section.x.values}
    maps = xr.DataArray(values, place, section.counts.dims, attrs=section.counts.attrs)
    found = section_quality(maps, section.phase_map, distance=section.distance, cube=cube, **NMC)
    assert found.testable.sel(check=["redeposition", "mass_shift", "mass_width"]).all()
    assert not found.flagged.sel(check=["redeposition", "mass_shift"]).any()
    assert {"mass_shift_map", "mass_width_map", "stripe_excess", "edge_offset", "elongation_cos"} <= set(found.data_vars)
    with pytest.raises(GridMismatchError, match="different grids"):
        section_quality(maps, section.phase_map, distance=section.distance, cube=cube.assign_coords(x=cube.x + 0.1), **NMC)


def test_containers_order_and_repetition_change_nothing(section, table):
    values = section.counts.values
    stored = sparse.COO(np.array(np.nonzero(values)), values[np.nonzero(values)], shape=values.shape)
    for data in (section.counts.copy(data=stored), section.counts.chunk({"scan": 2})):
        turned = data.transpose("x", "scan", "fragment", "y")
        found = section_quality(turned, section.phase_map.transpose("x", "y"), distance=section.distance, **NMC)
        xr.testing.assert_identical(found.drop_attrs(), table.drop_attrs())


def test_the_table_can_be_stored(table, tmp_path):
    from ssbmaps import io

    io.save(table, tmp_path / "quality.zarr")
    xr.testing.assert_identical(io.load(tmp_path / "quality.zarr"), table)


def test_voids_are_looked_around_on_request(section, table):
    found = section_quality(section.counts, section.phase_map, distance=section.distance, void="void", **NMC)
    around = _one(found, "shadowing")
    if around.testable:
        assert float(around.value) != float(_one(table, "shadowing").value)
    else:
        assert "voids" in str(around.finding.values)


def test_what_cannot_be_used_is_refused(section):
    counts, labels = section.counts, section.phase_map
    with pytest.raises(SsbmapsError, match="phase 'LCO' is not in the labels, which hold unassigned, NMC"):
        section_quality(counts, labels, phase="LCO", marker="NiO2-")
    with pytest.raises(SsbmapsError, match="CoO2- not in the maps"):
        section_quality(counts, labels, phase="NMC", marker="CoO2-")
    with pytest.raises(SsbmapsError, match=r"false_alarms=0\.5; expected a probability"):
        section_quality(counts, labels, false_alarms=0.5, **NMC)
    with pytest.raises(SsbmapsError, match="negative counts"):
        section_quality(counts.astype(int) - 1, labels, **NMC)
    with pytest.raises(GridMismatchError, match="different grids"):
        section_quality(counts, labels[1:], **NMC)
    with pytest.raises(SsbmapsError, match="dimension time; expected"):
        section_quality(counts.expand_dims("time"), labels, **NMC)
