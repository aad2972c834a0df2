"""Layers for napari: the tuples that it documents, in um, with gaps as NaN."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import sparse
import xarray as xr

import ssbmaps
from ssbmaps import io
from ssbmaps._conventions import raster_coords, spectral_coord

# napari's documentation: a LayerDataTuple is (data, options of the layer's add_ method, type of layer).
KINDS = {"image", "labels", "shapes"}
OPTIONS = {"name", "scale", "translate", "units", "axis_labels", "metadata", "colormap", "blending", "features"}
OPTIONS |= {"shape_type", "edge_width", "edge_color"}


def check(layers: list) -> list:
    for data, options, kind in layers:
        assert kind in KINDS
        assert set(options) <= OPTIONS
        ndim = 2 if kind == "shapes" else data.ndim
        for name in ("scale", "translate", "units", "axis_labels"):
            assert len(options[name]) == ndim
        assert isinstance(options["name"], str)
        assert isinstance(options["metadata"], dict)
    return layers


@pytest.fixture
def maps() -> xr.DataArray:
    """Three maps of 3 x 4 pixels of 0.2 um (y) and 0.1 um (x)."""
    coords = raster_coords((3, 4), (0.2, 0.1)) | {"fragment": ["PO2-", "PO3-", "S-"]}
    attrs = {"units": "counts", "technique": "tof-sims", "history": "made by hand"}
    return xr.DataArray(np.arange(36).reshape(3, 3, 4), coords=coords, dims=("fragment", "y", "x"), attrs=attrs)


def test_maps_are_a_layer_each_in_colours_that_add_up(maps):
    layers = check(io.to_napari(maps))
    assert [options["name"] for _, options, _ in layers] == ["PO2-", "PO3-", "S-"]
    data, options, kind = layers[1]
    assert kind == "image"
    assert np.array_equal(data, maps.values[1])
    assert options["scale"] == pytest.approx([0.2, 0.1])
    assert options["translate"] == pytest.approx([0.1, 0.05])
    assert options["units"] == ["um", "um"]
    assert options["axis_labels"] == ["y", "x"]
    assert options["blending"] == "additive"
    assert len({o["colormap"] for _, o, _ in layers}) == 3
    assert options["metadata"] == maps.attrs


def test_transposed_and_series_input(maps):
    turned = check(io.to_napari(maps.transpose("x", "fragment", "y")))
    assert np.array_equal(turned[2][0], maps.values[2])
    series = maps.expand_dims(scan=[0, 1]) * xr.DataArray([1, 10], dims="scan")
    data, options, _ = check(io.to_napari(series))[1]
    assert np.array_equal(data, series.values[:, 1])
    assert options["scale"] == pytest.approx([1, 0.2, 0.1])
    assert options["translate"] == pytest.approx([0, 0.1, 0.05])
    assert options["units"] == ["pixel", "um", "um"]
    assert options["axis_labels"] == ["scan", "y", "x"]


def test_one_map_alone(maps):
    ((data, options, kind),) = check(io.to_napari(maps.isel(fragment=0, drop=True).rename("total")))
    assert (options["name"], kind, data.shape) == ("total", "image", (3, 4))
    assert "colormap" not in options
    assert "blending" not in options


def test_pixels_that_were_not_measured_are_nan(maps):
    measured = np.ones((3, 4), bool)
    measured[1, 2] = False
    gaps = maps.assign_coords(measured=(("y", "x"), measured))
    for one in (gaps, gaps.chunk({"y": 1})):
        data = check(io.to_napari(one))[0][0]
        assert isinstance(data, da.Array if one is not gaps else np.ndarray)
        values = np.asarray(data)
        assert np.isnan(values[1, 2])
        assert np.array_equal(np.isnan(values), ~measured)
        assert np.array_equal(values[measured], maps.values[0][measured])
    assert int(maps[0, 1, 2]) == 6


def test_labels_carry_their_meanings(maps):
    attrs = {"flag_values": np.array([0, 1, 2], np.int16), "flag_meanings": "unassigned NMC electrolyte"}
    labels = xr.DataArray(
        (maps.values[0] % 3).astype(np.int16), coords=raster_coords((3, 4), (0.2, 0.1)), dims=("y", "x"), attrs=attrs
    )
    ((data, options, kind),) = check(io.to_napari(labels))
    assert kind == "labels"
    assert data.dtype == np.int16
    assert np.array_equal(data, labels.values)
    assert options["features"] == {"index": [0, 1, 2], "label": ["unassigned", "NMC", "electrolyte"]}


@pytest.mark.parametrize("chunked", [False, True])
def test_a_sparse_cube_is_dense_one_channel_at_a_time(chunked):
    values = np.arange(60, dtype=np.uint32).reshape(3, 4, 5)
    data = sparse.COO.from_numpy(values)
    data = da.from_array(data, chunks=(2, 4, 5), asarray=False) if chunked else data
    coords = raster_coords((3, 4), (0.2, 0.1)) | {"mz": spectral_coord("mz", [1, 2, 4, 8, 16])}
    ((lazy, options, _),) = check(io.to_napari(xr.DataArray(data, coords=coords, dims=("y", "x", "mz"))))
    assert isinstance(lazy, da.Array)
    assert options["axis_labels"] == ["mz", "y", "x"]
    assert isinstance(lazy[2].compute(), np.ndarray)
    assert np.array_equal(lazy.compute(), np.moveaxis(values, -1, 0))
    assert chunked or max(lazy.chunks[0]) == 1


def test_a_dataset_gives_its_maps_labels_and_outlines(maps):
    labels = xr.DataArray(
        np.ones((3, 4), np.int16), dims=("y", "x"), attrs={"flag_values": np.array([0, 1]), "flag_meanings": "a"}
    )
    result = xr.Dataset({"maps": maps, "labels": labels, "thickness": 0.2}, attrs={"history": "made"})
    vertices = {"vertex_y": [0.0, 1, 2, 5, 6, 9], "vertex_x": [0.0, 0, 1, 5, 5, 9], "vertex_segment": [4, 4, 4, 7, 7, 8]}
    result = result.assign({name: ("vertex", values) for name, values in vertices.items()})
    layers = check(io.to_napari(result))
    assert [kind for *_, kind in layers] == ["image"] * 3 + ["labels", "shapes"]
    assert layers[0][1]["name"] == "maps PO2-"
    assert "features" not in layers[3][1]  # as many meanings as values, or none
    paths, options, _ = layers[4]
    assert [p.tolist() for p in paths] == [[[0, 0], [1, 0], [2, 1]], [[5, 5], [6, 5]]]
    assert options["features"] == {"segment": [4, 7]}
    assert options["shape_type"] == "path"
    assert options["scale"] == [1.0, 1.0]


def test_what_has_no_raster_or_no_pixel_size_is_refused(maps):
    with pytest.raises(ssbmaps.SsbmapsError, match=r"io\.to_napari: expected dims y and x, got \('fragment',\)"):
        io.to_napari(maps.sum(("y", "x")))
    with pytest.raises(ssbmaps.SsbmapsError, match="no variable has dims y and x, and there is no outline; got total"):
        io.to_napari(xr.Dataset({"total": maps.sum(("y", "x"))}))
    with pytest.raises(ssbmaps.SsbmapsError, match="no coordinate y: the map has no pixel size"):
        io.to_napari(maps.drop_vars(["y", "x"]))
    with pytest.raises(ssbmaps.SsbmapsError, match=r"expected an xarray\.DataArray or Dataset, got list"):
        io.to_napari([maps])


def test_napari_takes_the_layers(maps):
    """In napari's own words, where it is installed."""
    layers = pytest.importorskip("napari.layers", reason="napari is not installed")
    for data, options, kind in io.to_napari(maps):
        layer = layers.Layer.create(data, options, kind)
        assert layer.extent.world[0].tolist() == pytest.approx([0.1, 0.05])
