"""Phase labels: planted areas found in noise, small regions absorbed, flat markers refused."""

from __future__ import annotations

import numpy as np
import pytest
import sparse
import xarray as xr

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
    np.testing.assert_array_equal(labels.values[measured], label_phases(clean, PHASES).values[measured])
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
    message = r"(?s)4 faults.*smoothing=-1.*'solid electrolyte' is no single word.*Xe-.*'unassigned'"
    with pytest.raises(SsbmapsError, match=message):
        label_phases(_noisy(), {"solid electrolyte": "S-", "x": "Xe-", "unassigned": "C2-"}, smoothing=-1, min_area=0)
    with pytest.raises(SsbmapsError, match="levels=7; expected a whole number from 2 to 5"):
        label_phases(_noisy(), PHASES, levels=7)
    with pytest.raises(SsbmapsError, match=r"phases=\{\}; expected"):
        label_phases(_noisy(), {})
    with pytest.raises(SsbmapsError, match="no pixel size"):
        label_phases(_noisy().drop_vars("x"), PHASES)
