"""Mass calibration: a planted scale is found, left-out ions judge it, and what would make it worse is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from ssbmaps import SsbmapsError
from ssbmaps.maps import calibrate_mass, ion_mz

DATA = Path(__file__).parents[2] / "shared" / "data"
IONS = {"C-": 2000, "CH-": 1500, "O-": 5000, "C2-": 4000, "S-": 9000, "Cl-": 6000, "PO3-": 2000, "NiO2-": 5000}


def _cube(amounts=IONS, *, offset=0.0, scale=1.0, resolution=4000, seed=0, extra=(), polarity="negative"):
    """Gaussian peaks on a time-of-flight axis that is off: what the file calls √m is (√m − offset) / scale.

    `extra` holds further peaks as (true m/z, counts). Stored channels are 0.4 ns wide at t = 3.4 µs·√m; empty ones are dropped.
    """
    rng = np.random.default_rng(seed)
    peaks = [(ion_mz(i), n) for i, n in amounts.items()] + list(extra)
    mz = np.concatenate([rng.normal(m, m / resolution / 2.355, n) for m, n in peaks])
    ticks = np.round((np.sqrt(mz) - offset) / scale / 1.2e-4).astype(int)
    channels, which = np.unique(ticks, return_inverse=True)
    counts = np.zeros((2, 3, len(channels)), int)
    np.add.at(counts, (rng.integers(0, 2, len(ticks)), rng.integers(0, 3, len(ticks)), which), 1)
    coords = {"y": [0.5, 1.5], "x": [0.5, 1.5, 2.5], "mz": ("mz", (channels * 1.2e-4) ** 2, {"units": "Da"})}
    return xr.DataArray(counts, coords, ("y", "x", "mz"), attrs={"units": "counts", "polarity": polarity, "history": "read"})


@given(offset=st.floats(-5e-4, 5e-4), ppm=st.floats(-300, 300))
@settings(max_examples=12, deadline=None)
def test_planted_offset_and_scale_are_found(offset, ppm):
    """A peak of 2000 counts and 250 ppm width is known to 2.4 ppm; eight of them give the axis to a few ppm everywhere."""
    scale = 1 + 0.5e-6 * ppm
    if abs(2e6 * offset / np.sqrt(12)) + abs(ppm) < 40:
        offset += 1e-4  # an axis that is right already is refused, which has its own test
    cube = _cube(offset=offset, scale=scale)
    found = calibrate_mass(cube)
    truth = (offset + scale * np.sqrt(cube.mz.values)) ** 2
    assert abs(1e6 * (found.mz / truth - 1)).max() < 8
    assert found.attrs["calibration_ppm_after"] < 6
    np.testing.assert_array_equal(found.values, cube.values)


def test_the_result_records_ions_and_ppm_before_and_after():
    cube = _cube(scale=1 + 100e-6)
    found = calibrate_mass(cube)
    names = found.attrs["calibration_ions"].split()
    assert set(names) == set(IONS)
    np.testing.assert_allclose(found.attrs["calibration_ion_ppm_before"], -200, atol=10)  # √m is 100 ppm short
    np.testing.assert_allclose(found.attrs["calibration_ppm_before"], 200, atol=5)
    assert len(found.attrs["calibration_ion_ppm_after"]) == len(names)
    rms = np.sqrt(np.mean(np.square(found.attrs["calibration_ion_ppm_after"])))
    np.testing.assert_allclose(found.attrs["calibration_ppm_after"], rms)
    history = found.attrs["history"].splitlines()
    assert history[0] == "read"
    assert '"ppm_before": 199' in history[1] or '"ppm_before": 20' in history[1]
    assert (found.attrs["units"], found.attrs["polarity"]) == ("counts", "negative")
    assert found.mz.attrs["units"] == "Da"
    assert cube.attrs["history"] == "read"


def test_left_out_errors_are_those_of_a_fit_without_the_ion():
    """Second road: numpy's polynomial fit through the other ions' centroids, unweighted, agrees within their counting errors."""
    cube = _cube(scale=1 + 100e-6)
    found = calibrate_mass(cube)
    names = found.attrs["calibration_ions"].split()
    spectrum, mz = cube.values.sum((0, 1)), cube.mz.values
    places = []
    for name in names:
        near = abs(mz / ion_mz(name) - 1 + 200e-6) < 300e-6
        places.append(np.sqrt(np.average(mz[near], weights=spectrum[near])))
    exact = np.sqrt([ion_mz(i) for i in names])
    for k, after in enumerate(found.attrs["calibration_ion_ppm_after"]):
        rest = np.arange(len(names)) != k
        line = np.polyfit(np.array(places)[rest], exact[rest], 1)
        assert abs(after - 2e6 * (np.polyval(line, places[k]) / exact[k] - 1)) < 4


def test_another_peak_near_an_ion_is_outvoted():
    cube = _cube({**IONS, "PO3-": 50}, scale=1 + 60e-6, extra=[(ion_mz("PO3-") * (1 + 700e-6), 6000)])
    found = calibrate_mass(cube)
    assert found.attrs["calibration_ppm_after"] < 10
    np.testing.assert_allclose(found.attrs["calibration_scale"], 1 + 60e-6, atol=3e-6)


def test_named_ions_must_agree_and_each_is_named_with_its_ppm():
    cube = _cube(
        {"C2-": 4000, "S-": 9000, "Cl-": 6000, "NiO2-": 5000}, scale=1 + 60e-6, extra=[(ion_mz("PO3-") * (1 + 700e-6), 6000)]
    )
    with pytest.raises(SsbmapsError, match=r"contradict each other.*S- -1[12]\d ppm.*PO3- \+5[78]\d ppm \(disagrees\)"):
        calibrate_mass(cube, ["C2-", "S-", "Cl-", "PO3-", "NiO2-"])
    assert calibrate_mass(cube, ["C2-", "S-", "NiO2-"]).attrs["calibration_ions"] == "C2- S- NiO2-"


def test_a_right_axis_is_not_made_worse():
    """Right to within counting noise: at most some seeds find a better axis by chance, and none a worse one."""
    refused = 0
    for seed in range(4):
        cube = _cube(seed=seed)
        try:
            found = calibrate_mass(cube)
        except SsbmapsError:
            refused += 1
        else:
            assert found.attrs["calibration_ppm_after"] < found.attrs["calibration_ppm_before"] < 10
    assert refused > 0


def test_a_fit_that_would_be_worse_on_left_out_ions_is_refused():
    """Three ions at their places except the middle one: any line through two of them misses the third by more than now."""
    cube = _cube({"C2-": 4000, "NiO2-": 5000}, extra=[(ion_mz("S-") * (1 + 60e-6), 9000)])
    with pytest.raises(SsbmapsError, match=r"refused: left-out ions would lie .* ppm \(rms\).*S- \+\d+\.\d → [+-]\d+"):
        calibrate_mass(cube, ["C2-", "S-", "NiO2-"])


def test_fewer_than_three_ions_are_refused_and_the_missing_named():
    with pytest.raises(SsbmapsError, match=r"found S-, Cl-, missing .*NiO2-"):
        calibrate_mass(_cube({"S-": 3000, "Cl-": 3000}, scale=1 + 60e-6))
    with pytest.raises(SsbmapsError, match=r"near every ion named.*missing PO3-"):
        calibrate_mass(_cube({"C2-": 900, "S-": 3000, "Cl-": 3000}), ["C2-", "S-", "Cl-", "PO3-"])
    with pytest.raises(SsbmapsError, match="no ion is named"):
        calibrate_mass(_cube(), [])


def test_without_polarity_the_ions_must_be_named():
    cube = _cube(scale=1 + 60e-6)
    del cube.attrs["polarity"]
    with pytest.raises(SsbmapsError, match="'polarity' is None"):
        calibrate_mass(cube)
    assert calibrate_mass(cube, list(IONS)).attrs["calibration_ppm_after"] < 6


@pytest.mark.parametrize("reach", [0, -5, np.nan, 1e6])
def test_reach_must_be_sensible(reach):
    with pytest.raises(SsbmapsError, match="reach_ppm"):
        calibrate_mass(_cube(), reach_ppm=reach)


def test_all_containers_and_orders_give_the_same_axis():
    cube = _cube(scale=1 + 60e-6)
    expected = calibrate_mass(cube).mz.values
    coo = cube.copy(data=sparse.COO.from_numpy(cube.values))
    for other in (coo, cube.chunk(y=1), cube.transpose("mz", "x", "y"), cube.astype("float32")):
        found = calibrate_mass(other)
        np.testing.assert_allclose(found.mz.values, expected, rtol=1e-13)
        assert type(found.data) is type(other.data)


def test_axis_faults_are_named():
    with pytest.raises(SsbmapsError, match="not ascending"):
        calibrate_mass(_cube().isel(mz=slice(None, None, -1)))
    below = _cube().assign_coords(mz=_cube().mz - 20)
    with pytest.raises(SsbmapsError, match="positive masses"):
        calibrate_mass(below)


def test_a_real_positive_spectrum_comes_right():
    """PHI nanoTOF II, copper grid: its stored calibration is 0.4 per mille off; afterwards 63Cu+ lies within 25 ppm."""
    path = DATA / "phi" / "PowerCo-102-Pos-Cu_Grid.h5"
    if not path.exists():
        pytest.skip(f"needs the instrument file {path.name}, which is not part of the repository")
    from ssbmaps import io

    found = calibrate_mass(io.read(path, pixel_size=0.3125))
    assert 350 < found.attrs["calibration_ppm_before"] < 450
    assert found.attrs["calibration_ppm_after"] < 25
    names = found.attrs["calibration_ions"].split()
    assert {"Na+", "K+", "Cu+", "Cs+"} <= set(names)
    assert abs(found.attrs["calibration_ion_ppm_after"][names.index("Cu+")]) < 25
