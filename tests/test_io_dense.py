"""The DataArray that readers' findings become: the same as xarray's constructor makes, and nothing shared with the reader."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ssbmaps.io import _dense
from ssbmaps.io._public import public


def everything():
    """Coordinates of every kind over (time 2, y 3, x 1, raman_shift 4), the spectral axis descending, as readers give them."""
    return {
        "time": ("time", np.array([0.0, 5.0]), {"units": "s"}),
        "y": ("y", [0.5, 1.5, 2.5], {"units": "um", "long_name": "y"}),
        "x": ("x", np.array([0.5]), {}),
        "raman_shift": np.array([900, 700, 500, 300], np.int32),
        "wavelength": ("raman_shift", np.array([640.0, 630.0, 620.0, 610.0], np.float32)),
        "focus_z": (("time", "y"), np.arange(6.0).reshape(2, 3), {"units": "um"}),
        "weight": (("y", "raman_shift"), np.arange(12, dtype=np.uint8).reshape(3, 4)),
        "name": ("y", np.array(["a", "bb", "c"])),
        "stage_x": ((), 3.5, {"units": "um"}),
        "operator_mode": "fast",
        "measured": (("y", "x"), np.array([[True], [False], [True]]), {"long_name": "measured"}),
    }


def assembled(data, dims, coords):
    return _dense._assembled(data, dims, {name: _dense._coord(name, value) for name, value in coords.items()})


@pytest.mark.parametrize("kind", ["numpy", "dask", "one spectrum", "names"])
def test_it_is_what_the_constructor_makes(kind):
    data, dims, coords = np.arange(24, dtype=np.float32).reshape(2, 3, 1, 4), ("time", "y", "x", "raman_shift"), everything()
    if kind == "dask":
        data = pytest.importorskip("dask.array").from_array(data, chunks=(1, 3, 1, 4))
    if kind == "one spectrum":
        dims = ("raman_shift",)
        data, coords = data[0, 0, 0], {n: coords[n] for n in ("raman_shift", "wavelength", "stage_x", "operator_mode")}
    if kind == "names":
        dims = ("line", "y")
        data, coords = data[0, :2, 0, :3], {"line": ("line", ["Ni LMM", "S LVV"]), "y": coords["y"], "name": coords["name"]}
    found = assembled(data, dims, coords)
    expected = xr.DataArray(data, dims=dims, coords={n: _dense._coord(n, v) for n, v in coords.items()})
    expected.name = None  # of a dask array, xarray takes over the name
    if "raman_shift" in dims:
        expected = expected.isel(raman_shift=slice(None, None, -1))
        assert found["raman_shift"].dtype == np.float64
        assert found["raman_shift"].attrs == {"units": "1/cm", "long_name": "Raman shift"}
    assert found.identical(expected)
    assert list(found.coords) == list(expected.coords)
    assert found.name is None
    assert {n: type(i) for n, i in found.xindexes.items()} == {n: type(i) for n, i in expected.xindexes.items()}
    for name, coord in expected.coords.items():
        assert found[name].dtype == coord.dtype, name
        assert found[name].values.flags.writeable == coord.values.flags.writeable, name
    assert found.sel(y=1.5).identical(expected.sel(y=1.5)) if "y" in dims else True


def test_coordinates_are_its_own():
    coords = everything()
    found = assembled(np.zeros((2, 3, 1, 4)), ("time", "y", "x", "raman_shift"), coords)
    before = found.copy(deep=True)
    for value in coords.values():
        values = value[1] if isinstance(value, tuple) else value
        if isinstance(values, np.ndarray):
            values[...] = values.flat[-1]
    assert found.identical(before)


@pytest.mark.parametrize(
    ("shape", "dims", "coords"),
    [
        ((2, 3), ("y", "x"), {"y": ("y", [1.0, 2.0, 3.0])}),
        ((2, 3), ("y", "x"), {"z": ("z", [1.0])}),
        ((2, 3), ("y",), {}),
        ((2, 3), ("y", "y"), {"y": ("y", [1.0, 2.0])}),
        ((2, 3), ("y", "x"), {"name": (("y", "x"), np.zeros((3, 2)))}),
    ],
)
def test_what_does_not_fit_is_refused_in_xarrays_words(shape, dims, coords):
    with pytest.raises(ValueError, match=r".") as refused:
        xr.DataArray(np.zeros(shape), dims=dims, coords=coords)
    with pytest.raises(ValueError, match=r".") as ours:
        assembled(np.zeros(shape), dims, coords)
    assert (type(ours.value), str(ours.value)) == (type(refused.value), str(refused.value))


PERSONS = {"User": "1", "OPERATOR": "2", "E-Mail": "3", "my email": "4", "FileName": "5", "Dateipfad µ path": "6", "Login": "7"}
PLACES = {"a": r"C:\data", "b": "D:/data", "c": r"\\server\share", "d": "/home", "e": "x@y.org"}
KEPT = {
    "Gain": "2",
    "Laser (µm)": "0.5",
    "ratio": "1/2",
    "unit": "1/cm",
    "length": 3,
    "time": 0,
    "flag": False,
    "list": [],
}


def test_persons_and_folders_are_left_out_and_nothing_else():
    assert public({**PERSONS, **PLACES, "empty": "", "none": None, "no settings": {}}) == {}
    assert public(KEPT) == KEPT
    mixed = {**KEPT, **PERSONS, **PLACES, "settings": {**PLACES, **KEPT}, "all gone": {"user": "me"}}
    assert public(mixed) == {**KEPT, "settings": KEPT}


@pytest.mark.parametrize("name", [*PERSONS, "My PATH", "uſer"])
def test_upper_and_lower_case_hide_nobody(name):
    assert public({name: "x", "Gain": "2"}) == {"Gain": "2"}
