"""Totals and ratios: sums are sums, errors are the scatter of repeated draws, a structured reference is told."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sparse
import xarray as xr

from ssbmaps import DataQualityWarning, GridMismatchError, SsbmapsError, maps, synthetic
from ssbmaps._conventions import raster_coords
from ssbmaps._counts import block_dispersion


def fragments(values, names=("S-", "Cl-", "C2-"), **attrs):
    values = np.asarray(values)
    dims = ("scan", "fragment", "y", "x")[-values.ndim :]
    coords = {"fragment": list(names), **raster_coords(values.shape[-2:], (0.1, 0.2))}
    return xr.DataArray(values, coords, dims, attrs={"units": "counts", **attrs})


def uniform(seed, levels=(30.0, 20.0, 10.0), shape=(48, 64)):
    rng = np.random.default_rng(seed)
    return fragments(rng.poisson(np.array(levels)[:, None, None], (len(levels), *shape)))


@pytest.mark.parametrize("container", ["dense", "sparse", "dask", "transposed"])
def test_total_of_a_cube(container):
    values = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 6)).astype(np.uint8)
    coords = {**raster_coords((4, 5), (0.1, 0.1)), "mz": np.linspace(10, 20, 6)}
    cube = xr.DataArray(values, coords, ("scan", "y", "x", "mz"), attrs={"units": "counts", "technique": "tof-sims"})
    given = {
        "dense": cube,
        "sparse": cube.copy(data=sparse.COO.from_numpy(values)),
        "dask": cube.chunk(mz=2, y=3),
        "transposed": cube.transpose("mz", "x", "scan", "y"),
    }[container]
    result = maps.total(given)
    assert result.dims == ("scan", "y", "x")
    assert result.dtype == np.int64
    assert (result.values == values.astype(int).sum(-1)).all()  # 255 × 6 does not fit a byte
    assert result.attrs["summed"] == "mz 10.000 to 20.000 Da, 6 channels"
    assert result.attrs["technique"] == "tof-sims"
    assert (container == "dask") == (result.chunks is not None)


def test_total_of_maps_says_what_is_in_it():
    two = fragments([[[1, 2]], [[3, 4]]], ("S-", "Cl-"))
    result = maps.total(two)
    assert result.values.tolist() == [[4, 6]]
    assert result.attrs["summed"] == "fragment S- Cl-"
    assert result.attrs["units"] == "counts"
    edges = {"mz_low": ("fragment", [62.92, 62.945]), "mz_high": ("fragment", [62.965, 62.983])}
    with pytest.warns(DataQualityWarning, match="windows of S- and Cl- overlap, so that counts are summed twice"):
        maps.total(two.assign_coords(edges))
    with pytest.raises(SsbmapsError, match="expected one spectral axis, or fragments"):
        maps.total(two[0])


def test_missing_and_unmeasured_stay_so():
    gap = fragments([[[1.0, np.nan]], [[3.0, 4.0]]], ("S-", "Cl-"))
    assert np.isnan(maps.total(gap)[0, 1])
    mask = xr.DataArray([[True, False]], dims=("y", "x"))
    counts = fragments([[[1, 0]], [[3, 0]]], ("S-", "Cl-")).assign_coords(measured=mask)
    assert not maps.total(counts).measured[0, 1]
    assert np.isnan(maps.normalise(counts).ratio[:, 0, 1]).all()


def scatter(draw, **options):
    """Mean ratio, standard deviation over draws, and the root of the mean squared error stated, per fragment."""
    results = [maps.normalise(draw(seed), **options) for seed in range(3)]
    ratio = xr.concat([r.ratio for r in results], "draw")
    stated = xr.concat([r.ratio_sd for r in results], "draw")
    return ratio.mean(("draw", "y", "x")), ratio.std(("draw", "y", "x")), np.sqrt((stated**2).mean(("draw", "y", "x")))


@pytest.mark.parametrize("to", ["total", "Cl-"])
def test_stated_error_is_the_scatter(to):
    """3 × 3072 uniform pixels: the scatter is known to 0.7 %; the expansion to first order is good to 1/t, some 5 % at 20."""
    mean, spread, stated = scatter(lambda s: uniform(s, (300.0, 200.0, 100.0)), to=to)
    kept = [f for f in ("S-", "Cl-", "C2-") if f != to]
    assert (np.abs(stated / spread - 1).sel(fragment=kept) < 0.04).all()
    expected = {"total": [0.5, 1 / 3, 1 / 6], "Cl-": [1.5, 1.0, 0.5]}[to]
    assert mean.values == pytest.approx(expected, rel=0.01)
    if to != "total":
        assert float(spread.sel(fragment=to)) == float(stated.sel(fragment=to)) == 0


def test_share_of_a_total_has_the_binomial_error():
    one = fragments([[[30]], [[10]]], ("S-", "Cl-"))
    result = maps.normalise(one)
    assert float(result.ratio_sd[0, 0, 0]) == pytest.approx(np.sqrt(0.75 * 0.25 / 40))
    alone = maps.normalise(one, to=maps.total(one), holds=False)
    assert float(alone.ratio_sd[0, 0, 0]) == pytest.approx(np.sqrt(30 / 40**2 + 30**2 / 40**3))


def test_total_map_knows_whom_it_holds():
    """From names, and from the range of m/z: S− and Cl− lie inside 24 to 40 Da, the window of C2− begins at 23.9."""
    counts = uniform(1)
    by_name = maps.normalise(counts)
    xr.testing.assert_allclose(maps.normalise(counts, to=maps.total(counts)).ratio_sd, by_name.ratio_sd)
    edges = {"mz_low": ("fragment", [31.9, 34.9, 23.9]), "mz_high": ("fragment", [32.0, 35.0, 24.1])}
    coords = {**raster_coords((48, 64), (0.1, 0.2)), "mz": [24.0, 32.0, 40.0]}
    cube = xr.DataArray(np.full((48, 64, 3), 60), coords, ("y", "x", "mz"), attrs={"units": "counts"})
    result = maps.normalise(counts.assign_coords(edges), to=maps.total(cube))
    n, r = counts.values, counts.values / 180
    inside = np.sqrt((1 - r) ** 2 * n + r**2 * (180 - n)) / 180
    outside = np.sqrt(n + r**2 * 180) / 180
    assert result.ratio_sd.values[:2] == pytest.approx(inside[:2])
    assert result.ratio_sd.values[2] == pytest.approx(outside[2])


def test_zero_reference_is_missing_never_infinite():
    result = maps.normalise(fragments([[[0, 3]], [[0, 0]]], ("S-", "Cl-")))
    assert np.isnan(result.ratio[:, 0, 0]).all()
    assert np.isnan(result.ratio_sd[:, 0, 0]).all()
    assert result.ratio[:, 0, 1].values.tolist() == [1, 0]


def test_errors_of_a_dead_time_correction_are_used():
    counts = uniform(2, (60.0, 30.0, 10.0))
    corrected = maps.correct_dead_time(counts, shots=200)
    result = maps.normalise(corrected, to="Cl-")
    a, b = (corrected.sel(fragment=f, drop=True) for f in ("S-", "Cl-"))
    ratio = a.counts / b.counts
    expected = ratio * np.sqrt((a.counts_sd / a.counts) ** 2 + (b.counts_sd / b.counts) ** 2)
    assert result.ratio_sd.sel(fragment="S-").values == pytest.approx(expected.values)
    with pytest.raises(SsbmapsError, match="without 'counts' and 'counts_sd'"):
        maps.normalise(corrected.drop_vars("counts_sd"))


def test_uniform_reference_rarely_warns_and_its_index_is_one():
    """300 uniform maps at three loads: the index has mean 1, and the limit is passed about once in a thousand."""
    rng = np.random.default_rng(0)
    index, passed = [], 0
    for load in (0.2, 2.0, 40.0):
        for _ in range(100):
            values = rng.poisson(load, (48, 64)).astype(float)
            found = block_dispersion(values, values, np.ones((48, 64), bool))
            index.append(found.index)
            passed += found.index > found.limit
    assert np.mean(index) == pytest.approx(1, abs=0.05)
    assert passed <= 3  # 0.3 expected; more than 3 has a chance of 3e-4


def test_structured_reference_is_told():
    section = synthetic.cross_section(seed=1, shape=(64, 80), n_scans=4)
    counts = section.counts.sum("scan").assign_attrs(section.counts.attrs)
    with pytest.warns(DataQualityWarning, match="the reference .* is structured itself: sums over 8 x 8 pixels vary by"):
        result = maps.normalise(counts)
    assert result.attrs["structure"] > result.attrs["structure_limit"] > 1
    total = section.ideal.sum("fragment") / 5
    blocks = total.coarsen(y=8, x=8).mean()
    assert result.attrs["structure_excess"] == pytest.approx(float(blocks.std() / blocks.mean()), rel=0.15)


def test_uniform_reference_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = maps.normalise(uniform(5))
    assert result.attrs["structure"] < result.attrs["structure_limit"]


@pytest.mark.parametrize("kind", ["transposed", "dask", "sparse"])
def test_every_container_gives_the_same(kind):
    counts = uniform(3, shape=(16, 24))
    other = {
        "transposed": lambda: counts.transpose("x", "fragment", "y"),
        "dask": lambda: counts.chunk(y=5),
        "sparse": lambda: counts.copy(data=sparse.COO.from_numpy(counts.values)),
    }[kind]()
    xr.testing.assert_allclose(maps.normalise(other), maps.normalise(counts), rtol=1e-14)


def test_history_and_units():
    counts = uniform(3)
    result = maps.normalise(counts, to=maps.total(counts))
    assert result.history.splitlines()[-1].startswith("ssbmaps.maps.normalise")
    assert "ssbmaps.maps.total" in result.history
    assert result.ratio.attrs["units"] == result.ratio_sd.attrs["units"] == "1"


def test_faults_are_told():
    counts = uniform(4)
    tic = maps.total(counts)
    for arguments, words in (
        ((counts, {"to": "PO2-"}), "fragment PO2- not in the maps"),
        ((counts, {"to": "total", "holds": True}), "expected it left out"),
        ((counts.assign_attrs(units="1"), {}), "values are in '1'"),
        ((counts - 100, {}), "negative counts"),
        ((counts.astype(float).where(counts < 30, np.inf), {}), "infinite values"),
        ((counts[0], {}), "a single map has no 'total'"),
        ((counts, {"to": counts}), "the reference has dims"),
        ((counts, {"to": tic.values}), "expected an xarray"),
    ):
        with pytest.raises(SsbmapsError, match=words):
            maps.normalise(arguments[0], **arguments[1])
    with pytest.raises(GridMismatchError, match="different grids"):
        maps.normalise(counts, to=tic.assign_coords(x=tic.x + 0.1))
