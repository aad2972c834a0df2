"""Phase labels: planted areas found in noise, small regions absorbed, flat markers refused."""

from __future__ import annotations

import numpy as np
import pytest
import sparse
import xarray as xr
from scipy.ndimage import gaussian_filter

from ssbmaps import SsbmapsError
from ssbmaps.maps import label_phases
from ssbmaps.maps._levels import absorb_small

PIXEL = 0.1
NY, NX = 90, 120
Y, X = np.arange(NY)[:, None] * PIXEL + 0.05, np.arange(NX) * PIXEL + 0.05
# a disc of 2.5 um (NMC), a band at the right (carbon), electrolyte elsewhere, a void of 0.8 um that nothing marks
DISC = np.hypot(Y - 4.5, X - 4) < 2.5
BAND = X > 9.5 + 0 * Y
VOID = np.hypot(Y - 1.2, X - 8) < 0.8
PHASES = {"NMC": "NiO2-", "electrolyte": ["S-", "Cl-"], "carbon": "C2-"}


def _levels(high=24.0):
    rest = ~(DISC | BAND | VOID)
    return np.stack(
        [
            np.where(DISC, high, 0.2),
            np.where(rest, high, 0.6) * 0.7,
            np.where(rest, high, 0.6) * 0.3,
            np.where(BAND, high, 0.8),
        ]
    )


def _maps(values, **attrs):
    coords = {"fragment": ["NiO2-", "S-", "Cl-", "C2-"], "y": Y[:, 0], "x": X}
    dims = ("fragment", "y", "x") if values.ndim == 3 else ("scan", "fragment", "y", "x")
    return xr.DataArray(values, coords, dims, attrs={"units": "counts", **attrs})


def _noisy(seed=0, high=24.0, scans=0):
    rng = np.random.default_rng(seed)
    return _maps(rng.poisson(_levels(high) / max(scans, 1), (*((scans,) if scans else ()), 4, NY, NX)).astype("uint16"))


TRUTH = np.select([DISC, BAND, VOID], [1, 3, 0], 2)


def test_areas_are_found_in_noise():
    labels = label_phases(_noisy(), PHASES)
    # the edge of a noisy half level scatters by about 0.2 pixel; 160 pixels of edge around the disc of 1963 pixels: 1 %
    for value in (1, 2, 3):
        assert abs((labels == value).sum() / (value == TRUTH).sum() - 1) < 0.015
    assert (labels.values == TRUTH).mean() > 0.985


def test_levels_are_those_planted():
    labels = label_phases(_noisy(), PHASES)
    # medians of thousands of smoothed pixels, skewed by the pixels that blur mixes into either class
    np.testing.assert_allclose(labels.attrs["level_high"], [24, 24, 24], rtol=0.03)
    np.testing.assert_allclose(labels.attrs["level_low"], [0.2, 0.6, 0.8], atol=0.15)


def test_result_follows_the_contract():
    labels = label_phases(_noisy(), PHASES)
    assert (labels.dtype, labels.dims, labels.name) == (np.int16, ("y", "x"), "labels")
    assert labels.attrs["flag_meanings"] == "unassigned NMC electrolyte carbon"
    np.testing.assert_array_equal(labels.attrs["flag_values"], np.arange(4))
    assert labels.attrs["flag_values"].dtype == np.int16
    assert "maps.label_phases" in labels.attrs["history"]
    assert set(labels.coords) == {"y", "x"}


def test_scans_are_summed_and_containers_agree():
    series = _noisy(scans=3)
    expected = label_phases(series.sum("scan").astype("int64"), PHASES)
    np.testing.assert_array_equal(label_phases(series, PHASES), expected)
    np.testing.assert_array_equal(label_phases(series.chunk({"scan": 1, "x": 50}), PHASES), expected)
    np.testing.assert_array_equal(label_phases(series.copy(data=sparse.COO.from_numpy(series.values)), PHASES), expected)
    np.testing.assert_array_equal(label_phases(series.transpose("x", "fragment", "scan", "y"), PHASES), expected)


def test_uint8_counts_do_not_overflow():
    maps = _maps((_levels() * 10).astype("uint8"))
    np.testing.assert_array_equal(label_phases(maps, PHASES), label_phases(maps.astype("int64"), PHASES))


def test_smoothing_is_in_um():
    maps = _noisy()
    coarse = maps.assign_coords(y=maps.y * 10, x=maps.x * 10)
    np.testing.assert_array_equal(label_phases(maps, PHASES, smoothing=0.15), label_phases(coarse, PHASES, smoothing=1.5))


def test_noise_free_map_without_smoothing_is_exact():
    labels = label_phases(_maps(_levels()), PHASES, smoothing=0)
    np.testing.assert_array_equal(labels, TRUTH)


def test_small_regions_take_their_surroundings():
    values = _levels()
    values[0, 44:46, 85:87] = 24  # 4 pixels of NMC in the electrolyte: 0.04 um²
    values[1:3, 44:46, 85:87] = 0
    maps = _maps(values)
    assert (label_phases(maps, PHASES, smoothing=0, min_area=0.03).values[44:46, 85:87] == 1).all()
    assert (label_phases(maps, PHASES, smoothing=0, min_area=0.05).values[44:46, 85:87] == 2).all()


def test_absorbed_regions_go_to_the_majority_and_wait_for_their_turn():
    labels = np.ones((7, 9), np.int16)
    labels[:, 5:] = 2
    labels[2:5, 3:5] = 3  # 6 pixels, neighbours: 7 of label 1, 3 of label 2
    labels[3, 4] = 4  # inside the small region, touches label 2 and label 3
    found = absorb_small(labels, np.ones(labels.shape, bool), 7)
    assert (found[:, :5] == np.where((np.arange(7)[:, None] == 3) & (np.arange(5) == 4), 2, 1)).all()
    np.testing.assert_array_equal(absorb_small(labels, np.ones(labels.shape, bool), 0), labels)


def test_unassigned_pixels_between_two_phases_stay_so_that_the_edge_does_not_move():
    labels = np.ones((8, 11), np.int16)
    labels[:, 6:] = 2
    labels[1:3, 5] = labels[5:7, 5] = 0  # two pieces of a mixed edge
    labels[4, 1:3] = 0  # a hole in the first phase
    expected = labels.copy()
    expected[4, 1:3] = 1
    np.testing.assert_array_equal(absorb_small(labels, np.ones(labels.shape, bool), 5), expected)


def test_absorbing_never_asks_unmeasured_pixels():
    labels = np.zeros((5, 6), np.int16)
    labels[2, 2:4] = 1
    measured = np.zeros(labels.shape, bool)
    measured[2, 2:4] = True
    np.testing.assert_array_equal(absorb_small(labels, measured, 10), labels)


def test_unmeasured_pixels_are_unassigned_and_do_not_leak():
    measured = np.ones((NY, NX), bool)
    measured[40:50, 30:50] = False
    clean = _maps(_levels())
    broken = clean.where(xr.DataArray(measured, dims=("y", "x")), 1e6).assign_coords(measured=(("y", "x"), measured))
    labels = label_phases(broken, PHASES)
    assert (labels.values[~measured] == 0).all()
    filled = broken.where(xr.DataArray(measured, dims=("y", "x")), 3.0).assign_coords(measured=(("y", "x"), measured))
    np.testing.assert_array_equal(labels, label_phases(filled, PHASES))
    # areas are rounded to pixels over the whole map, so that a hole may turn single pixels elsewhere
    assert (labels.values != label_phases(clean, PHASES).values)[measured].sum() <= 3
    with_nan = label_phases(clean.where(xr.DataArray(measured, dims=("y", "x"))), PHASES)
    np.testing.assert_array_equal(with_nan, labels)


@pytest.mark.parametrize("seed", range(5))
def test_markers_without_two_levels_are_refused(seed):
    rng = np.random.default_rng(seed)
    values = rng.poisson(9, (4, NY, NX))
    values[1] = 0
    values[2] = 5
    message = (
        r"(?s)4 faults.*a: its marker NiO2- shows no two levels.*b: .*S- is constant \(0\).*c: .*constant \(5\).*d: .*S- \+ Cl-"
    )
    with pytest.raises(SsbmapsError, match=message):
        label_phases(_maps(values), {"a": "NiO2-", "b": "S-", "c": "Cl-", "d": ["S-", "Cl-"]})


def test_gaussian_noise_is_refused_too():
    values = np.random.default_rng(0).normal(100, 10, (4, NY, NX))
    with pytest.raises(SsbmapsError, match="shows no two levels"):
        label_phases(_maps(values, units="arbitrary"), {"NMC": "NiO2-"})


def test_names_and_options():
    message = r"(?s)4 faults.*smoothing=-1.*'solid electrolyte' is no single word.*'unassigned'.*Xe-"
    with pytest.raises(SsbmapsError, match=message):
        label_phases(_noisy(), {"solid electrolyte": "S-", "x": "Xe-", "unassigned": "C2-"}, smoothing=-1, min_area=0)
    with pytest.raises(SsbmapsError, match="levels=7; expected a whole number from 2 to 5"):
        label_phases(_noisy(), PHASES, levels=7)
    with pytest.raises(SsbmapsError, match=r"phases=\{\}; expected"):
        label_phases(_noisy(), {})
    with pytest.raises(SsbmapsError, match="no pixel size"):
        label_phases(_noisy().drop_vars("x"), PHASES)


def _blurred(values, sigma):
    return np.stack([gaussian_filter(v, sigma, mode="nearest") for v in values])


def test_a_gain_that_drifts_by_30_percent_moves_no_edge():
    rng = np.random.default_rng(1)
    gain = 1 + 0.3 * np.sin(2 * np.pi * X / 12) * np.cos(2 * np.pi * Y / 9)
    image = _blurred(_levels(), 0.9)
    flat, bent = (label_phases(_maps(rng.poisson(image * g)), PHASES, voids="void") for g in (1, gain))
    mean = [np.sqrt((labels == 1).sum().item() / np.pi) for labels in (flat, bent)]
    off = np.subtract(mean, np.sqrt(DISC.sum() / np.pi))
    # 157 pixels of edge, each found to 0.2 pixel: the radius to 0.02 pixel. The gain changes by 1.6 % per pixel along the radius:
    # levels of windows on either side of the edge, 5 pixels away, are 8 % off in opposite directions if it is left alone: 0.13
    assert abs(off[0]) < 0.06
    assert abs(off[1]) < 0.12
    for side in (X < 4, X > 4):  # where the gain differs
        areas = [((labels.values == 1) & side).sum() for labels in (flat, bent)]
        assert abs(areas[1] / areas[0] - 1) < 0.015  # 0.12 pixel along 78 pixels of edge, of 984
    assert (flat != bent).mean() < 0.015


def test_a_particle_of_lower_yield_keeps_its_size():
    rng = np.random.default_rng(2)
    values = _levels(40.0)
    values[0][DISC] = 26
    strip = np.broadcast_to(X < 2.4, DISC.shape)
    values[:, strip] = _levels(40.0)[:, 45, 40][:, None]  # a slab of NMC of 40 counts, which a first guess goes by
    labels = label_phases(_maps(rng.poisson(_blurred(values, 0.9))), PHASES)
    right = X > 4
    # a half level of 20 counts lies 0.7 pixel inside the edge of the disc: 6 % of its right half
    assert abs(((labels.values == 1) & right).sum() / (DISC & right).sum() - 1) < 0.015


def test_mixed_pixels_are_no_third_phase_and_a_thin_shell_is_one():
    rng = np.random.default_rng(3)
    away = np.hypot(Y - 4.5, X - 6) - 2.5
    right = X > 6
    shell = (away > 0) & (away < 0.2) & right  # 2 pixels, as wide as the beam, on the right half only
    inside = away < 0
    levels = {"NMC": (24, 1, 0.1), "shell": (0.5, 18, 9), "electrolyte": (0.2, 58, 0.4)}
    values = np.select(
        [inside, shell],
        [np.array(levels[k])[:, None, None] for k in ("NMC", "shell")],
        np.array(levels["electrolyte"])[:, None, None],
    )
    maps = xr.DataArray(
        rng.poisson(_blurred(values, 0.9)), {"fragment": ["Ni", "S", "P"], "y": Y[:, 0], "x": X}, ("fragment", "y", "x")
    ).assign_attrs(units="counts")
    labels = label_phases(maps, {"NMC": "Ni", "electrolyte": "S", "shell": "P"}).values
    # on the left, half of Ni and half of S look like the shell, but for P
    assert (labels[:, :60] == 3).sum() < 5
    # 90 pixels of shell length, both edges to 0.2 pixel: ± 3 px of 168; its level and width are found together, hence 10 %
    assert abs((labels == 3).sum() / shell.sum() - 1) < 0.1
    assert abs((labels == 1).sum() / inside.sum() - 1) < 0.01


def test_fibres_thinner_than_the_blur_keep_their_area():
    rng = np.random.default_rng(4)
    values = _levels()
    fibres = np.zeros((NY, NX), bool)
    for row in (4, 12, 78, 85):
        fibres[row : row + 3, 10:90] = True
    fibres &= ~VOID
    values[:, fibres] = np.array([0.1, 1.5, 0.8, 30])[:, None]
    values[3][BAND] = 30
    labels = label_phases(_maps(rng.poisson(_blurred(values, 0.9))), PHASES)
    found = (labels.values == 3) & (X < 9.2)
    # half levels of the smoothed map make them 20 to 30 % too wide
    assert abs(found.sum() / fibres.sum() - 1) < 0.06


def test_voids_are_named_and_unnamed_materials_are_not_voids():
    values = _blurred(_levels(), 0.9)
    rng = np.random.default_rng(5)
    labels = label_phases(_maps(rng.poisson(values)), PHASES, voids="void")
    assert labels.attrs["flag_meanings"] == "unassigned NMC electrolyte carbon void"
    assert labels.attrs["flag_values"].tolist() == [0, 1, 2, 3, 4]
    # 201 pixels of void, 50 of edge
    assert abs((labels == 4).sum().item() / VOID.sum() - 1) < 0.1
    other = np.where(VOID, 15.0, values)  # the same hole filled with something that emits a little of everything
    labels = label_phases(_maps(rng.poisson(other)), PHASES, voids="void")
    assert (labels == 4).sum() < 5


def test_cracks_are_kept_or_closed():
    values = _levels()
    crack = DISC & (np.abs(Y - 4.5) < 0.16) & (X > 4)  # 4 pixels wide, open to the right
    values[:, crack] = 0.1
    maps = _maps(np.random.default_rng(6).poisson(_blurred(values, 0.5)))
    kept, closed = (label_phases(maps, PHASES, max_crack=width) for width in (0, 0.6))
    inner = crack & (X < 6)
    assert (kept.values[inner] == 1).mean() < 0.2
    assert (closed.values[inner] == 1).mean() > 0.95
    np.testing.assert_array_equal(closed.values[kept.values > 0], kept.values[kept.values > 0])


def test_randomness_is_seeded_and_recorded():
    maps = _noisy()
    np.testing.assert_array_equal(label_phases(maps, PHASES), label_phases(maps, PHASES, rng=0))
    assert '"rng": 0' in label_phases(maps, PHASES).attrs["history"]
    assert (label_phases(maps, PHASES) != label_phases(maps, PHASES, rng=1)).mean() < 0.01
    with pytest.raises(SsbmapsError, match=r"(?s)voids='NMC' is the name of a phase"):
        label_phases(maps, PHASES, voids="NMC")
