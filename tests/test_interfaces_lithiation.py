"""Lithium in particles and the fluence of primary ions: planted gradients are found, fluence by hand, wrong input is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr

from ssbmaps import DataQualityWarning, SsbmapsError, synthetic
from ssbmaps.interfaces import check_fluence, lithiation


@cache
def planted():
    return synthetic.operando_series(seed=11, shape=(48, 48))


# --- lithiation ---


def particles(seed, slope, n_times=3, n=90, core=30.0):
    """Three discs with the same relative slope per um of depth, and a core signal without one; a gain common to both."""
    rng = np.random.default_rng(seed)
    y = x = (np.arange(n) + 0.5) * 0.1
    depth, number = np.full((n, n), -1.0), np.zeros((n, n), int)
    for k, (cy, cx, r) in enumerate(((2.5, 2.5, 2.2), (6.8, 3.0, 1.9), (5.0, 7.0, 1.7)), 1):
        own = r - np.hypot(y[:, None] - cy, x - cx)
        depth, number = np.where(own > 0, own, depth), np.where(own > 0, k, number)
    gain = 1 + 0.1 * np.sin(np.arange(n_times))[:, None, None]
    mean = np.stack([20 * (1 + slope * depth), np.full_like(depth, core)]) * (depth > 0)
    counts = rng.poisson(np.maximum(gain[:, None] * mean, 0))
    coords = {"time": np.arange(float(n_times)), "fragment": ["Li+", "NiO+"], "y": y, "x": x}
    maps = xr.DataArray(counts, coords, ("time", "fragment", "y", "x"), attrs={"units": "counts"})
    place = {"y": y, "x": x, "particle": (("y", "x"), number)}
    return maps, xr.DataArray(-depth, place, ("y", "x"), attrs={"units": "um"}), depth


def test_planted_gradient_is_in_its_interval():
    hits, pooled, n = 0, 0, 0
    for seed in range(8):
        maps, distance, depth = particles(seed, 0.15)
        found = lithiation(maps, distance, fragment="Li+", relative_to="NiO+")
        number = distance.particle.values
        truth = np.array([0.15 / (1 + 0.15 * depth[number == k].mean()) for k in (1, 2, 3)])
        hits += int(((found.particle_gradient_low < truth) & (truth < found.particle_gradient_high)).sum())
        pooled += int(((found.gradient_low < truth.mean()) & (truth.mean() < found.gradient_high)).sum())
        n += 9
    assert hits >= 61  # of 72 at 95 %: fewer happens once in 1000
    assert pooled >= 19  # of 24, fewer once in 100
    np.testing.assert_allclose(found.particle_area, np.pi * np.array([2.2, 1.9, 1.7]) ** 2, rtol=0.03)
    np.testing.assert_allclose(found.particle_perimeter, 2 * np.pi * np.array([2.1, 1.8, 1.6]), rtol=0.08)  # rims of 2 pixels


def test_ratio_takes_the_current_off_and_profile_falls_to_the_edge():
    maps, distance, _ = particles(1, 0.3)
    found = lithiation(maps, distance, fragment="Li+", relative_to="NiO+")
    raw = lithiation(maps, distance, fragment="Li+")
    assert float(raw.signal.std() / raw.signal.mean()) > 0.03
    assert float(found.signal.std() / found.signal.mean()) < 0.02
    assert float(found.profile[0, 0]) > float(found.profile[0, -1])  # deepest first, the edge last
    assert "counts, not concentration" in found.attrs["wording"]


def test_lithiation_refusals():
    maps, distance, _ = particles(0, 0.1)
    with pytest.raises(SsbmapsError, match="no coordinate 'particle'"):
        lithiation(maps, distance.drop_vars("particle"), fragment="Li+")
    with pytest.raises(SsbmapsError, match="fragment K\\+ not in the maps"):
        lithiation(maps, distance, fragment="K+")
    with pytest.raises(SsbmapsError, match="expected whole numbers in 'counts'"):
        lithiation(maps.astype(float), distance, fragment="Li+")
    with pytest.raises(SsbmapsError, match=r"2 faults:\n- margin=-1.*\n- weight='volume'"):
        lithiation(maps, distance, fragment="Li+", margin=-1, weight="volume")
    with pytest.raises(SsbmapsError, match="no measured pixel lies 50 um or more inside"):
        lithiation(maps, distance, fragment="Li+", margin=50)
    with pytest.raises(SsbmapsError, match="no measured pixel lies inside a particle"):
        lithiation(maps, abs(distance).assign_attrs(units="um") + 1, fragment="Li+")


# --- check_fluence ---


def test_fluence_by_hand():
    s = planted()
    current = xr.DataArray(1.0, attrs={"units": "pA"})
    with pytest.warns(DataQualityWarning, match="Repeated analysis removes material"):
        found = check_fluence(
            s.counts, primary_current=current, acquisition_time=10.0, charge=2, sputter_yield=5.0, atomic_density=5e22
        )
    area = (48 * 0.2e-4) ** 2  # cm²
    each = 1e-12 * 10 / (2 * 1.602176634e-19) / area
    np.testing.assert_allclose(found.fluence, each)
    np.testing.assert_allclose(found.cumulative_fluence, each * np.arange(1, 82))
    np.testing.assert_allclose(found.removed_depth, each * np.arange(1, 82) * 5 / 5e22 * 1e4)
    np.testing.assert_array_equal(found.within_static, each * np.arange(1, 82) <= 1e12)
    assert "compatible with damage" in str(found.statement.values)


def test_fluence_that_is_not_stated_is_not_assumed():
    with pytest.warns(DataQualityWarning, match="cannot be checked: primary_current, acquisition_time not stated"):
        found = check_fluence(planted().counts)
    assert np.isnan(found.cumulative_fluence).all()
    assert found.within_static.values.tolist() == [-1] * 81


def test_fluence_refusals():
    one = planted().counts
    with pytest.raises(SsbmapsError, match="primary_current is in None; expected a DataArray in A, uA, nA, pA"):
        check_fluence(one, primary_current=xr.DataArray(1.0), acquisition_time=1.0)
    with pytest.raises(SsbmapsError, match="are both given; expected one"):
        check_fluence(one, primary_current=xr.DataArray(1.0, attrs={"units": "A"}), primary_ion_fluence=1e11)
    with pytest.raises(SsbmapsError, match="sputter_yield and atomic_density go together"):
        check_fluence(one, primary_ion_fluence=1e11, sputter_yield=2.0)
    with pytest.raises(SsbmapsError, match=r"primary_ion_fluence has shape .* expected one number above 0, or 81 along time"):
        check_fluence(one, primary_ion_fluence=xr.DataArray([1e11, 1e11], dims="time"))
    with pytest.raises(SsbmapsError, match="primary_ion_fluence='x'; expected one number above 0"):
        check_fluence(one, primary_ion_fluence="x")
    with pytest.raises(SsbmapsError, match="dimension time is missing"):
        check_fluence(one.isel(time=0), primary_ion_fluence=1e11)
