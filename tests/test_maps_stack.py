"""Stacks of techniques: one grid, a common mask, channels and planes told apart by name."""

from __future__ import annotations

import numpy as np
import pytest
import sparse
import xarray as xr

from ssbmaps import GridMismatchError, SsbmapsError, io
from ssbmaps._conventions import raster_coords
from ssbmaps.maps import Transform, resample, stack

STILL = Transform(np.eye(3), np.zeros((6, 6)))


def poisson(shape):
    return np.random.default_rng(0).poisson(5.0, shape)


def technique(names, dim, values=None, units="counts", **attrs):
    values = poisson((len(names), 4, 5)) if values is None else values
    coords = {dim: list(names), **raster_coords((4, 5), (0.5, 0.5))}
    return xr.DataArray(values, coords, (dim, "y", "x"), attrs={"units": units, **attrs})


def test_a_stack_of_techniques():
    mask = np.ones((4, 5), bool)
    mask[0, 0] = False
    sims = technique(["S-", "Cl-"], "fragment", technique="tof-sims", history="read sims").assign_coords(
        measured=(("y", "x"), mask), position_sd=(("y", "x"), np.zeros((4, 5)))
    )
    shares = np.full((1, 4, 5), 0.2)
    shares[0, 1, 1] = np.nan
    raman = technique(["A1g"], "band", shares, "1", technique="raman", history="read raman").assign_coords(
        position_sd=(("y", "x"), np.ones((4, 5)))
    )
    result = stack({"sims": sims.transpose("x", "fragment", "y"), "raman": raman})
    expected = mask.copy()
    expected[1, 1] = False
    assert result.valid.dtype == bool
    np.testing.assert_array_equal(result.valid, expected)
    np.testing.assert_array_equal(result.sims.measured, expected)
    assert result.sims.dims == ("fragment", "y", "x")
    assert (result.sims == sims).all()
    assert result.sims.attrs["technique"] == "tof-sims"
    assert result.raman.attrs["technique"] == "raman"
    assert {"position_sd_sims", "position_sd_raman"} <= set(result.coords)
    assert "technique" not in result.attrs
    lines = result.attrs["history"].splitlines()
    assert lines[:2] == ["read sims", "read raman"]
    assert lines[2].startswith("ssbmaps.maps.stack ")


def test_stacked_channels_of_one_name():
    one = technique(["S-", "Cl-"], "fragment").assign_coords(mz=("fragment", [31.97, 34.97]))
    other = technique(["Li+"], "fragment").assign_coords(mz=("fragment", [7.0]))
    apart = stack({"negative": one, "positive": other})
    assert apart.negative.dims == ("fragment_negative", "y", "x")
    assert apart.positive.rename(fragment_positive="fragment").fragment.values.tolist() == ["Li+"]
    assert apart.mz_negative.dims == ("fragment_negative",)
    moved = one.assign_coords(position_sd=(("y", "x"), np.ones((4, 5))), scan=3)
    alone = stack({"still": one, "moved": moved})  # a plane of one technique does not come to stand beside another's values
    assert {"position_sd_moved", "scan_moved"} <= set(alone.coords)
    assert not {"position_sd", "scan"} & set(alone.coords)
    together = stack({"pristine": one, "cycled": one + 1})
    assert together.pristine.dims == together.cycled.dims == ("fragment", "y", "x")
    assert "mz" in together.coords


def test_a_stack_of_lazy_and_sparse_maps(tmp_path):
    shares = np.full((2, 4, 5), 0.2)
    shares[1, 2, 3] = np.nan
    raman = technique(["A1g", "Eg"], "band", shares, "1")
    held = technique(["S-"], "fragment", sparse.COO.from_numpy(poisson((1, 4, 5))))
    part = technique(["NiLMM"], "line", sparse.COO.from_numpy(np.where(poisson((1, 4, 5)) > 1, 0.5, 0.0)), "1")
    result = stack({"raman": raman.chunk(y=2), "sims": held, "sam": part})
    assert result.raman.chunksizes["y"] == (2, 2)
    assert int((~result.valid).sum()) == 1
    assert not result.valid[2, 3]
    loaded = io.load(io.save(result.compute(), tmp_path / "stack.nc"))
    assert loaded.identical(result.compute())


def test_resampled_maps_stack():
    sims = technique(["S-"], "fragment", poisson((1, 4, 5)))
    raman = xr.DataArray(np.ones((1, 3, 3)), {"band": ["A1g"], **raster_coords((3, 3), (0.6, 0.6))}, ("band", "y", "x"))
    with pytest.raises(GridMismatchError, match=r"maps.stack: sims and raman: the maps lie on different grids"):
        stack({"sims": sims, "raman": raman})
    moved = resample(raman, STILL, like=sims)
    result = stack({"sims": sims, "raman": moved})
    np.testing.assert_array_equal(result.valid, moved.measured)
    assert int(result.valid.sum()) == 9  # 1.8 um of pixels of 0.5 um: three by three whole ones


def test_what_is_no_stack():
    one = technique(["S-"], "fragment")
    with pytest.raises(SsbmapsError, match="expected a mapping of names to maps, got list"):
        stack([one])
    with pytest.raises(SsbmapsError, match="4 faults") as letter:
        stack({"valid": one, "ok": one[0, 0], 3: one, "fine": one.values})
    for part in ("the name 'valid'", "ok: dimension y is missing", "the name 3", "expected an xarray.DataArray, got ndarray"):
        assert part in str(letter.value)
    with pytest.raises(SsbmapsError, match="1 map; expected two or more"):
        stack({"one": one})
    with pytest.raises(SsbmapsError, match="fragment is the name of a dimension or coordinate"):
        stack({"fragment": one, "other": one})
    with pytest.raises(SsbmapsError, match="no pixel was measured in all of a, b"):
        stack({"a": one, "b": (one * np.nan)})
