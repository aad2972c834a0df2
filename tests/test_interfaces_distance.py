"""Signed distance on discs, edges and frames whose truth is known; every refusal with its message."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ncx2

from ssbmaps import DataQualityWarning, GridMismatchError, SsbmapsError
from ssbmaps.interfaces import distance_to
from ssbmaps.interfaces._contour import Contour, nearest
from ssbmaps.interfaces._subpixel import coverage

FLAGS = {"flag_values": np.array([0, 1], "int16"), "flag_meanings": "unassigned NMC"}


def _grid(shape, pixel=(0.1, 0.1)):
    return {d: (np.arange(n) + 0.5) * p for d, n, p in zip(("y", "x"), shape, pixel, strict=True)}


def _labels(inside, pixel=(0.1, 0.1)):
    return xr.DataArray(np.asarray(inside).astype("int16"), _grid(inside.shape, pixel), ("y", "x"), attrs=FLAGS)


def _disc(radius, *, blur=0.0, shape=None, centre=None, pixel=(0.1, 0.1), seed=0):
    """Labels, image and true distance of one disc; image exact to 1e-4.

    A disc under a Gaussian is the cdf of a non-central chi-square; the pixel integral is a mean over 9 × 9 points (sharp
    disc: 200 rows with exact chords).
    """
    shape = shape or (int(2 * radius / pixel[0]) + 44, int(2 * radius / pixel[1]) + 48)
    rng = np.random.default_rng(seed)
    middle = np.array(shape) * pixel / 2
    cy, cx = centre if centre is not None else middle + rng.uniform(-0.5, 0.5, 2) * pixel
    y, x = (v - c for v, c in zip(_grid(shape, pixel).values(), (cy, cx), strict=True))
    if blur:
        radii = np.linspace(0, np.hypot(*np.array(shape)) * max(pixel), 20_000)
        profile = ncx2.cdf((radius / blur) ** 2, 2, (radii / blur) ** 2)
        nodes, weights = np.polynomial.legendre.leggauss(9)
        ys, xs = (np.add.outer(v, nodes * p / 2) for v, p in zip((y, x), pixel, strict=True))
        r = np.hypot(ys[:, None, :, None], xs[None, :, None, :])
        image = np.einsum("yxij,i,j->yx", np.interp(r, radii, profile), weights, weights) / 4
    else:
        rows = np.add.outer(y, (np.arange(200) + 0.5) / 200 * pixel[0] - pixel[0] / 2)
        half = np.sqrt(np.maximum(radius**2 - rows**2, 0))[..., None]
        left, right = np.maximum(x - pixel[1] / 2, -half), np.minimum(x + pixel[1] / 2, half)
        image = np.maximum(right - left, 0).mean(axis=1) / pixel[1]
    truth = np.hypot(y[:, None], x) - radius
    area = image if not blur else _disc(radius, shape=shape, centre=(cy, cx), pixel=pixel)[1]
    labels = _labels(np.asarray(area) > 0.5, pixel)
    return labels, labels.copy(data=image).assign_attrs(units="counts"), truth


def _error(distance, truth, within=0.8):
    """Root mean square and mean error in nm near the edge (further in, a disc's curvature changes the distance's meaning)."""
    error = (distance.values - truth)[np.abs(truth) < within] * 1e3
    return np.sqrt(np.mean(error**2)), error.mean()


@pytest.mark.parametrize("radius", [1.0, 2.0, 4.0])
def test_labels_alone(radius):
    errors = []
    for seed in range(4):
        labels, _, truth = _disc(radius, seed=seed)
        errors.append(_error(distance_to(labels, "NMC"), truth))
    # the bound is 25 nm; whole-pixel labels scatter by up to 29 nm before smoothing
    assert max(rms for rms, _ in errors) < 20
    assert abs(np.mean([bias for _, bias in errors])) < 8


@pytest.mark.parametrize("radius", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("blur", [0.0, 0.085, 0.17])
def test_noise_free_image(radius, blur):
    labels, image, truth = _disc(radius, blur=blur)
    rms, bias = _error(distance_to(labels, "NMC", image=image), truth)
    # the bound is 7 nm. A half level of the image would lie σ²/2R = 14 nm inside at blur 0.17 and R = 1
    assert rms < 5
    assert abs(bias) < 4


def test_gain_that_varies_over_the_map_cancels():
    labels, image, truth = _disc(2.0, blur=0.085)
    gain = 1 + 0.1 * np.sin(image.y) * np.cos(0.8 * image.x)
    rms, _ = _error(distance_to(labels, "NMC", image=(image * 24 + 0.5) * gain), truth)
    assert rms < 7


def test_noisy_image_is_unbiased_and_better_with_more_counts():
    errors = {}
    for counts in (3, 30):
        found = []
        for seed in range(6):
            labels, image, truth = _disc(2.0, blur=0.085, seed=seed)
            noisy = image.copy(data=np.random.default_rng(seed).poisson(image * counts + 0.05))
            found.append(_error(distance_to(labels, "NMC", image=noisy), truth))
        errors[counts] = np.mean(found, axis=0)
    # sqrt(1.77 σ / (λ L)) with σ = 0.9 pixels across the edge and L = 8 pixels along it (the effective length of four rounds of
    # a Gaussian of 4 pixels) is 26 nm at 3 counts and 8 nm at 30; the local levels and the curvature add to it
    assert errors[3][0] < 40
    assert errors[30][0] < 13
    assert abs(errors[30][1]) < 5


def test_image_corrects_labels_that_are_a_pixel_off():
    labels, image, truth = _disc(2.0, blur=0.085)
    wide = labels.copy(data=(truth < 0.1).astype("int16"))
    assert _error(distance_to(wide, "NMC"), truth)[1] < -80
    assert _error(distance_to(wide, "NMC", image=image), truth)[0] < 7


def test_oblong_pixels():
    labels, image, truth = _disc(2.0, blur=0.085, pixel=(0.1, 0.15))
    assert _error(distance_to(labels, "NMC"), truth)[0] < 25
    assert _error(distance_to(labels, "NMC", image=image), truth)[0] < 7


def test_straight_edge_is_exact():
    labels = _labels(np.arange(40) < 17 + np.zeros((30, 1)))
    distance = distance_to(labels, "NMC")
    np.testing.assert_allclose(distance, np.broadcast_to(labels.x.values - 1.7, (30, 40)), atol=1e-9)


def test_the_frame_is_no_edge_and_a_cut_region_goes_on_beyond_it():
    labels, image, truth = _disc(2.0, blur=0.085, shape=(60, 80), centre=(0.3, 3.9))
    for options, bound in (({}, 30), ({"image": image}, 12)):
        distance = distance_to(labels, "NMC", **options)
        assert _error(distance, truth, within=0.6)[0] < bound
        assert distance.values[0, 39] < -1.6  # on the frame, in the middle of the disc


def test_sign_and_region_number_of_two_particles():
    first, second = np.hypot(*np.mgrid[-30:30, -30:50]) < 20, np.hypot(*np.mgrid[-30:30, -65:15]) < 12
    labels = _labels(first | second)
    distance = distance_to(labels, "NMC")
    assert (distance.values < 0).tolist() == (first | second).tolist()
    assert distance.particle.dtype == np.int32
    assert set(np.unique(distance.particle.values[first])) == {1}
    assert set(np.unique(distance.particle.values[second])) == {2}
    assert distance.particle.values[30, 54] == 2  # nearer to the second: 4 against 1 pixels


def test_holes_and_cracks_are_closed_as_asked():
    labels, image, truth = _disc(3.0, blur=0.085, centre=(5.2, 5.4))
    broken = labels.values.copy()
    broken[50:54, 40:46] = 0  # a hole of 0.24 um²
    broken[20:50, 60] = 0  # an open crack of 0.1 um
    cracked = labels.copy(data=broken)
    dark = image.where(cracked == labels, 0)
    assert _error(distance_to(cracked, "NMC"), truth)[0] < 25
    assert _error(distance_to(cracked, "NMC", image=dark), truth)[0] < 12
    assert distance_to(cracked, "NMC", max_hole=0).values[52, 43] > 0
    assert distance_to(cracked, "NMC").values[52, 43] == pytest.approx(truth[52, 43], abs=0.05)
    assert distance_to(cracked, "NMC", max_crack=0).values[35, 60] > 0
    assert distance_to(cracked, "NMC").values[35, 60] == pytest.approx(truth[35, 60], abs=0.05)


def test_closing_cracks_never_joins_two_regions():
    gap = np.ones((40, 50), bool)
    gap[:, 24:26] = False
    assert distance_to(_labels(gap), "NMC", max_crack=1).values[20, 24] > 0


def test_unmeasured_pixels_are_nan_and_their_border_is_no_edge():
    labels = _labels(np.arange(60) < 30 + np.zeros((40, 1)))
    measured = np.ones(labels.shape, bool)
    measured[10:20, 5:15] = False
    distance = distance_to(labels.where(measured, 0).astype("int16").assign_coords(measured=(("y", "x"), measured)), "NMC")
    np.testing.assert_array_equal(np.isnan(distance), ~measured)
    np.testing.assert_array_equal(distance.particle.values == 0, ~measured)
    np.testing.assert_allclose(distance.values[measured], np.broadcast_to(labels.x.values - 3, labels.shape)[measured], atol=1e-9)


def test_result_follows_the_contract():
    labels, image, _ = _disc(1.5)
    image = image.assign_attrs(history="counted")
    labels = labels.assign_attrs(history="labelled", technique="tof-sims")
    before = labels.copy(deep=True)
    distance = distance_to(labels, "NMC", image=image)
    assert (distance.dtype, distance.dims, distance.attrs["units"], distance.name) == (np.float64, ("y", "x"), "um", "distance")
    assert distance.attrs["technique"] == "tof-sims"
    assert [line.split()[0] for line in distance.attrs["history"].splitlines()] == [
        "labelled",
        "counted",
        "ssbmaps.interfaces.distance_to",
    ]
    assert "flag_values" not in distance.attrs
    xr.testing.assert_identical(labels, before)


def test_transposed_dask_and_shifted_input():
    labels, image, _ = _disc(1.5, blur=0.085)
    expected = distance_to(labels, "NMC", image=image)
    turned = distance_to(labels.transpose("x", "y"), "NMC", image=image.chunk({"y": 20}))
    np.testing.assert_array_equal(turned, expected)
    moved = {"y": labels.y + 37.3, "x": labels.x - 12}
    far = distance_to(labels.assign_coords(moved), "NMC", image=image.assign_coords(moved))
    np.testing.assert_allclose(far, expected, atol=1e-9)


@given(st.integers(0, 10_000))
def test_distance_to_segments_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 40))
    star = (2 + rng.uniform(0, 0.6)) * (1 + 0.1 * np.cos(3 * angle)) * np.array([np.sin(angle), np.cos(angle)])
    contour = Contour(_dense(star.T[::-1]), True, 1)
    points = rng.uniform(-4, 4, (300, 2))
    ends = np.vstack([contour.points, contour.points[:1]])
    distance = nearest(points, [contour]).distance
    brute = _brute(points, ends)
    np.testing.assert_allclose(np.abs(distance), brute, atol=2e-4)  # 20 vertices per unit: misses are second order
    np.testing.assert_array_equal(distance < 0, _winding(points, ends))


def _dense(points):
    ring = np.vstack([points, points[:1]])
    return np.concatenate(
        [
            a + (b - a) * np.linspace(0, 1, max(2, int(20 * np.hypot(*(b - a)))), endpoint=False)[:, None]
            for a, b in pairwise(ring)
        ]
    )


def _brute(points, ends):
    best = np.full(len(points), np.inf)
    for a, b in pairwise(ends):
        along = b - a
        t = np.clip((points - a) @ along / max(along @ along, 1e-30), 0, 1)
        best = np.minimum(best, np.hypot(*(points - a - t[:, None] * along).T))
    return best


def _winding(points, ends):
    crossings = np.zeros(len(points), int)
    for (ay, ax), (by, bx) in pairwise(ends):
        spans = (ay > points[:, 0]) != (by > points[:, 0])
        with np.errstate(divide="ignore", invalid="ignore"):
            at = ax + (points[:, 0] - ay) / (by - ay) * (bx - ax)
        crossings += spans & (at > points[:, 1])
    return crossings % 2 == 1


@given(angle=st.floats(0, 2 * np.pi), distance=st.floats(-0.12, 0.12))
def test_coverage_of_a_pixel_by_a_straight_edge(angle, distance):
    pixel = (0.1, 0.14)
    normal = np.array([np.sin(angle), np.cos(angle)])
    fine = [(np.arange(400) + 0.5) / 400 * p - p / 2 for p in pixel]
    inside = normal[0] * fine[0][:, None] + normal[1] * fine[1] + distance < 0
    exact = coverage(np.array([distance]), normal[None], pixel)[0]
    assert exact == pytest.approx(inside.mean(), abs=5e-3)  # one of 400 rows of sub-pixels


def test_a_phase_thinner_than_its_blur_warns():
    stripe = (np.abs(np.arange(80) - 40) < 2) & np.ones((60, 1), bool)
    image = xr.DataArray(np.exp(-0.5 * ((np.arange(80) - 40) / 4.0) ** 2) + np.zeros((60, 1)), _grid((60, 80)), ("y", "x"))
    with pytest.warns(DataQualityWarning, match="does not reach its level inside"):
        distance_to(_labels(stripe), "NMC", image=image)


def test_refused_labels():
    labels = _disc(1.5)[0]
    with pytest.raises(SsbmapsError, match="phase 'LCO' is not in the labels, which hold unassigned, NMC"):
        distance_to(labels, "LCO")
    with pytest.raises(SsbmapsError, match="no pixel is labelled NMC, so it has no edge"):
        distance_to(labels * 0, "NMC")
    with pytest.raises(SsbmapsError, match="every measured pixel is labelled NMC"):
        distance_to(labels * 0 + 1, "NMC")
    with pytest.raises(SsbmapsError, match="flag_values and flag_meanings of equal length, got 0 and 0"):
        distance_to(labels.drop_attrs(), "NMC")
    with pytest.raises(SsbmapsError, match=r"expected integer labels \(y, x\), got float64"):
        distance_to(labels.astype(float), "NMC")
    with pytest.raises(SsbmapsError, match=r"expected integer labels \(y, x\), got int16 with dims \('scan', 'y', 'x'\)"):
        distance_to(labels.expand_dims("scan"), "NMC")
    with pytest.raises(SsbmapsError, match="no coordinate x: the map has no pixel size"):
        distance_to(labels.drop_vars("x"), "NMC")
    with pytest.raises(SsbmapsError, match="an edge needs at least 2 along y and x"):
        distance_to(labels.isel(y=slice(20, 21)), "NMC")
    with pytest.raises(SsbmapsError, match="dimension y is missing"):
        distance_to(labels.isel(y=20), "NMC")


def test_refused_images():
    labels, image, _ = _disc(1.5, blur=0.085)
    with pytest.raises(GridMismatchError, match="different grids"):
        distance_to(labels, "NMC", image=image.isel(x=slice(1, None)))
    with pytest.raises(SsbmapsError, match="not brighter inside the phase"):
        distance_to(labels, "NMC", image=1 - image)
    with pytest.raises(SsbmapsError, match="holds no value inside the phase"):
        distance_to(labels, "NMC", image=image.where(labels == 0))
    with pytest.raises(SsbmapsError, match=r"expected one \(y, x\) map"):
        distance_to(labels, "NMC", image=image.expand_dims("fragment"))


def test_refused_options():
    labels = _disc(1.5)[0]
    with pytest.raises(SsbmapsError, match=r"(?s)3 faults.*smoothing=-1.*max_hole=nan.*max_crack='wide'"):
        distance_to(labels, "NMC", smoothing=-1, max_hole=np.nan, max_crack="wide")
