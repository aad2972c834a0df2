"""The whole path on a synthetic section with planted truth: distance, then plateaus of the profile."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import binary_erosion

from ssbmaps.interfaces import distance_profile, distance_to
from ssbmaps.maps import label_phases

synthetic = pytest.importorskip("ssbmaps.synthetic")
MARGIN = 15  # pixels; near the frame the nearest outline may lie outside the map


@pytest.fixture(scope="module")
def section():
    return synthetic.cross_section(seed=3, shape=(288, 320), n_scans=8)


@pytest.fixture(scope="module")
def whole_section():
    """Uncracked particles, no voids or fibres across them; 16 scans, so that dead time takes 2 % of 24 counts.

    With 4 scans it takes 11 %, flattens the inner side of the edge and moves it outwards by 7 nm.
    """
    layout = synthetic.Layout(cracked=0.0, voids=0.0, fibres=0.0)
    return synthetic.cross_section(seed=5, shape=(240, 288), n_scans=16, layout=layout)


def _near_edge(section):
    """Pixels within 1 um of an edge, away from the frame."""
    inner = np.zeros(section.distance.shape, bool)
    inner[MARGIN:-MARGIN, MARGIN:-MARGIN] = True
    return inner & (np.abs(section.distance.values) < 1)


def _rms(distance, section):
    error = (distance - section.distance).values[_near_edge(section)] * 1e3
    return float(np.sqrt(np.mean(error**2))), float(error.mean())


def test_distance_from_noise_free_input(whole_section):
    labels = whole_section.phase_map
    ideal = whole_section.ideal.sel(fragment="NiO2-", drop=True)
    assert _rms(distance_to(labels, "NMC"), whole_section)[0] < 25  # the bounds, particles of 1 to 5 um
    rms, bias = _rms(distance_to(labels, "NMC", image=ideal), whole_section)
    assert rms < 7
    assert abs(bias) < 4


def test_distance_from_counts_alone(whole_section):
    counts = whole_section.counts.sum("scan").astype("int64")
    labels = label_phases(counts, {"NMC": "NiO2-", "electrolyte": "S-"})
    rms, bias = _rms(distance_to(labels, "NMC", image=counts.sel(fragment="NiO2-", drop=True)), whole_section)
    # discs with 24 counts per pixel show 10 nm; touching particles and necks add the rest
    assert rms < 18
    assert abs(bias) < 6
    # labels that absorbed the mixed pixels between two phases would be off by 34 nm
    assert _rms(distance_to(labels, "NMC"), whole_section)[0] < 25


def test_cracks_do_not_count_as_interface(section):
    counts = section.counts.sum("scan").astype("int64")
    labels = label_phases(counts, {"NMC": "NiO2-"})
    distance = distance_to(labels, "NMC", image=counts.sel(fragment="NiO2-", drop=True))
    error = np.abs(distance - section.distance).values[_near_edge(section)]
    assert np.quantile(error, 0.95) < 0.05
    assert np.mean(np.sign(distance.values) == np.sign(section.distance.values)) > 0.985


def test_plateaus_of_the_profile(section):
    counts = section.counts.sum("scan").astype("int64")
    expected = section.expected.sum("scan", dtype="float64")
    labels = label_phases(counts, {"NMC": "NiO2-", "electrolyte": "S-"})
    distance = distance_to(labels, "NMC", image=counts.sel(fragment="NiO2-", drop=True))
    inner = xr.zeros_like(section.distance, dtype=bool)
    inner[MARGIN:-MARGIN, MARGIN:-MARGIN] = True
    for phase, side, bright in (("NMC", distance < -1, "NiO2-"), ("electrolyte", distance > 1, "S-")):
        share = section.coverage.sel(phase=phase, drop=True)
        # five pixels of the same phase around: beyond the reach of beam and drift
        pure = share.copy(data=binary_erosion(share > 0.9999, iterations=5)) & side & inner
        measured = distance_profile(counts, distance, where=pure, bin_width=50.0).squeeze("distance")
        truth = distance_profile(expected, distance, where=pure, bin_width=50.0).squeeze("distance")
        z = (measured["mean"] - truth["mean"]) * np.sqrt(measured["dispersion"]) / measured["sem"]
        assert (measured["count"] > 3000).all()
        assert float(np.abs(z).max()) < 3.5  # 18 values of z; 3 standard errors are exceeded once in 20 such tests
        assert float((z**2).mean()) < 2.2
        level = float(section.level.sel(phase=phase, fragment=bright))
        assert float(measured["mean"].sel(fragment=bright)) == pytest.approx(float(truth["mean"].sel(fragment=bright)), rel=0.02)
        # the planted level, less what dead time takes (λ 0.08 and 0.13 per shot at 25 shots a scan) and the gain's mean over a
        # part of the map
        assert float(measured["mean"].sel(fragment=bright)) == pytest.approx(level, rel=0.1)
