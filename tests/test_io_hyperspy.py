"""The HyperSpy bridge gives back what it was given; signals from elsewhere are read by name and unit; .hspy and .zspy files."""

from __future__ import annotations

import doctest
import io as streams
import json
import re
import runpy
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
import sparse
import xarray as xr

import ssbmaps
from ssbmaps import io
from ssbmaps._conventions import raster_coords, spectral_coord
from ssbmaps.io import _guard, _guarded_signals, _hyperspy_bridge

files = runpy.run_path(str(Path(__file__).with_name("files_bridge.py")), run_name="files_bridge")
fuzzing = sys.modules["fuzzing"]
SLOW = ("sparse.hspy", "ours.zspy, values", "events.pts")  # more files or larger arrays than the others
CONTAINERS = ("dense", "sparse", "dask", "dask sparse")


def held(cube: xr.DataArray, container: str) -> xr.DataArray:
    """`cube` in another container."""
    values = cube.values
    if "sparse" in container:
        values = sparse.COO.from_numpy(values)
    if "dask" in container:
        values = da.from_array(values, chunks=(1, 2, 4, 5), asarray=False)
    return cube.copy(data=values)


@pytest.fixture
def cube() -> xr.DataArray:
    """A cube with every kind of coordinate and attribute that the contract allows."""
    cube = files["ours"]()
    cube = cube.assign_coords(run=("scan", ["a", "bä µ"]), dose=3.5, mz_low=("mz", np.arange(5.0), {"units": "Da"}))
    cube.attrs |= {"tilt": 54.0, "n": 3, "flag_values": np.array([0, 1], np.int16), "export": "also a method", "a b/c": "odd"}
    cube.attrs["original_metadata"] = json.dumps({"list": [1, {"b": None}], "x/y": "z", "long": "µ" * 40000})
    cube.name = "counts"
    return cube


# ---------------------------------------------------------------- out and back


@pytest.mark.parametrize("container", CONTAINERS)
def test_out_and_back_is_identical(cube, container):
    sent = held(cube, container)
    signal = io.to_hyperspy(sent)
    assert signal._lazy is (container != "dense")
    back = io.from_hyperspy(signal)
    assert io.to_dense(back).identical(cube)
    assert io.to_dense(sent).identical(cube)  # the input is as it was
    if "sparse" in container:
        assert isinstance(back.data, da.Array)
        assert isinstance(back.data.compute(), sparse.COO)
    else:
        assert isinstance(back.data, da.Array if container == "dask" else np.ndarray)


def test_a_signal_sent_through_the_bridge_and_back_is_identical(cube):
    """From HyperSpy's side: data, all axes and the title of a signal that came back are those that were sent."""
    first = io.to_hyperspy(cube)
    again = io.to_hyperspy(io.from_hyperspy(first))
    assert np.array_equal(again.data, first.data)
    assert again.data.dtype == first.data.dtype
    ours, theirs = again.axes_manager.as_dictionary(), first.axes_manager.as_dictionary()
    assert [ours[k].pop("axis", np.zeros(0)).tolist() for k in ours] == [
        theirs[k].pop("axis", np.zeros(0)).tolist() for k in theirs
    ]
    assert ours == theirs
    assert again.metadata.General.title == first.metadata.General.title == "ion counts"


def test_a_signal_made_in_hyperspy_comes_back_with_its_data_and_axes():
    """A signal on our own axes (µm from half a pixel, 1/cm) goes through the bridge and back unchanged, lazy or not."""
    axes = [files["axis"]("y", 3, 0.5, "µm", offset=0.25), files["axis"]("x", 4, 0.25, "µm", offset=0.125)]
    axes.append(files["axis"]("raman_shift", 5, 2.0, "1/cm", offset=300.0, navigate=False))
    for kind in (
        hs.signals.Signal1D(files["CUBE"] * 1.0, axes=axes),
        hs.signals.Signal1D(files["CUBE"] * 1.0, axes=axes).as_lazy(),
    ):
        back = io.to_hyperspy(io.from_hyperspy(kind).drop_vars(["stage_y", "stage_x"]))
        assert type(back) is type(kind)
        assert np.array_equal(np.asarray(back.data), files["CUBE"])
        assert back.axes_manager.as_dictionary() == kind.axes_manager.as_dictionary()


def test_axes_are_those_that_hyperspy_users_expect(cube):
    signal = io.to_hyperspy(cube)
    assert signal.axes_manager.navigation_shape == (4, 3, 2)
    assert signal.axes_manager.signal_shape == (5,)
    y, mz = signal.axes_manager["y"], signal.axes_manager["mz"]
    assert (y.is_uniform, y.scale, y.offset, y.units) == (True, pytest.approx(0.1), 0.05, "µm")
    assert not mz.is_uniform
    assert mz.axis.tolist() == files["MZ"]
    assert mz.units == "Da"
    assert signal.metadata.Signal.quantity == "ion counts (counts)"
    assert signal.metadata.ssbmaps.attributes.technique == "tof-sims"
    assert signal.original_metadata.as_dictionary()["list"] == [1, {"b": None}]


def test_evenly_spaced_means_to_a_billionth_of_a_step():
    values = 300 + 0.5 * np.arange(1000)
    spectrum = xr.DataArray(np.ones(1000), coords={"raman_shift": spectral_coord("raman_shift", values)}, dims="raman_shift")
    assert io.to_hyperspy(spectrum).axes_manager[0].is_uniform
    values[500] += 1e-8
    bent = spectrum.assign_coords(raman_shift=spectral_coord("raman_shift", values))
    signal = io.to_hyperspy(bent)
    assert not signal.axes_manager[0].is_uniform
    assert io.from_hyperspy(signal).identical(bent)


@pytest.mark.parametrize(
    ("dims", "kind", "navigation"),
    [
        (("fragment", "y", "x"), hs.signals.Signal2D, 1),
        (("y", "x"), hs.signals.Signal2D, 0),
        (("fragment", "distance"), hs.signals.Signal1D, 1),
        (("point", "raman_shift"), hs.signals.Signal1D, 1),
        (("time", "y", "x", "raman_shift"), hs.signals.Signal1D, 3),
        (("fragment",), hs.signals.BaseSignal, 1),
        (("segment", "shell"), hs.signals.BaseSignal, 2),
    ],
)
def test_every_kind_of_result_has_its_kind_of_signal(dims, kind, navigation):
    shape = (2, 3, 4, 5)[: len(dims)]
    coords = dict(zip(("y", "x"), raster_coords(shape[-2:], (1, 1)).values(), strict=True)) if dims[-2:] == ("y", "x") else {}
    coords |= {"fragment": ["PO2-", "PO3-"]} if "fragment" in dims else {}
    result = xr.DataArray(np.arange(np.prod(shape)).reshape(shape), coords=coords, dims=dims, attrs={"units": "counts"})
    signal = io.to_hyperspy(result)
    assert type(signal) is kind
    assert signal.axes_manager.navigation_dimension == navigation
    assert io.from_hyperspy(signal).identical(result)


def test_transposed_input_gives_the_same_signal(cube):
    turned = io.to_hyperspy(cube.transpose("mz", "x", "scan", "y"))
    assert np.array_equal(turned.data, io.to_hyperspy(cube).data)
    assert io.from_hyperspy(turned).identical(cube)


def test_hyperspy_works_on_its_own_copy(cube):
    signal = io.to_hyperspy(cube)
    signal.data += 1
    assert int(cube.values.max()) == 119
    back = io.from_hyperspy(signal)
    back.data[...] = 0
    assert int(signal.data.max()) == 120


def test_a_large_sparse_cube_is_never_dense_as_a_whole():
    """10 GB if dense, in blocks of no more than 64 MiB."""
    data = sparse.COO(np.array([[5], [9], [7]]), np.array([3], np.uint32), shape=(100, 500, 50_000))
    coords = raster_coords((100, 500), (0.1, 0.1)) | {"mz": spectral_coord("mz", 1 + np.arange(50_000) * 0.01)}
    signal = io.to_hyperspy(xr.DataArray(data, coords=coords, dims=("y", "x", "mz")))
    assert signal.data.nbytes == 10_000_000_000
    assert max(np.prod(c) for c in [tuple(max(n) for n in signal.data.chunks)]) * 4 <= 64 << 20
    assert int(signal.inav[9, 5].data.sum().compute()) == 3
    assert io.from_hyperspy(signal).data[5, 9, 7].compute() == 3


# ---------------------------------------------------------------- what HyperSpy does in between


def test_a_crop_takes_its_coordinates_along(cube):
    cut = io.to_hyperspy(cube).isig[1:4].inav[1:3, 1:3]
    back = io.from_hyperspy(cut)
    assert back.equals(cube.isel(x=slice(1, 3), y=slice(1, 3), mz=slice(1, 4)))
    assert back.attrs["history"].splitlines()[0] == "made by hand"
    assert "ssbmaps.io.from_hyperspy" in back.attrs["history"]
    assert '{"changed": ["mz", "x", "y"]}' in back.attrs["history"]


def test_binned_pixels_have_new_coordinates_and_lose_what_no_longer_fits(cube):
    image = cube.isel(scan=0, drop=True)
    signal = io.to_hyperspy(image).rebin(scale=[2, 3, 1])
    with pytest.warns(
        ssbmaps.DataQualityWarning, match=r"coordinate measured is left out, because an axis that it lies on was ch"
    ):
        back = io.from_hyperspy(signal)
    assert back.sizes == {"y": 1, "x": 2, "mz": 5}
    assert back.x.values.tolist() == pytest.approx([0.2, 0.6])
    assert back.y.values.tolist() == pytest.approx([0.15])
    assert back.y.attrs["pixel_size_um"] == pytest.approx(0.3)
    assert int(back.sum()) == int(image.sum())
    assert back.mz_low.values.tolist() == [0, 1, 2, 3, 4]


def test_a_new_pixel_size_is_recorded(cube):
    back = io.from_hyperspy(io.to_hyperspy(cube), pixel_size=(0.3, 0.5))
    assert back.x.values.tolist() == pytest.approx([0.25, 0.75, 1.25, 1.75])
    assert back.attrs["history"].splitlines()[1].endswith('{"pixel_size": [0.3, 0.5]}')
    assert back.attrs["pixel_size_source"] == "caller"
    assert back.attrs["technique"] == "tof-sims"


@pytest.mark.filterwarnings("ignore:.*is left out:ssbmaps.DataQualityWarning")
def test_a_sum_over_an_axis_loses_that_axis_only(cube):
    back = io.from_hyperspy(io.to_hyperspy(cube).sum("scan"))
    assert back.dims == ("y", "x", "mz")
    assert back.equals(cube.sum("scan").drop_vars("dose").assign_coords(dose=3.5))
    assert "frame" not in back.coords


def test_hyperspy_s_decomposition_runs_on_a_bridged_cube():
    """Two planted spectra; the first two components explain all the variance, and their product is the cube."""
    rng = np.random.default_rng(1)
    spectra = np.array([[8.0, 1, 0, 3, 0, 5], [0.0, 4, 9, 1, 2, 0]])
    weights = rng.random((4, 5, 2))
    coords = raster_coords((4, 5), (0.1, 0.1)) | {"mz": spectral_coord("mz", [12.0, 24, 48, 62.9641, 78.9591, 89.9257])}
    cube = xr.DataArray(weights @ spectra, coords=coords, dims=("y", "x", "mz"), attrs={"units": "counts"})
    signal = io.to_hyperspy(cube)
    signal.change_dtype("float64")
    signal.decomposition(print_info=False)
    ratio = signal.learning_results.explained_variance_ratio
    assert ratio[:2].sum() == pytest.approx(1, abs=1e-12)
    assert ratio[1] > 1e-3
    model = signal.get_decomposition_model(2)
    assert np.allclose(model.data, cube.values, atol=1e-10)
    maps = io.from_hyperspy(signal.get_decomposition_loadings(), dims={0: "component"})
    assert maps.dims == ("component", "y", "x")
    assert maps.x.values.tolist() == pytest.approx(cube.x.values.tolist())


def test_integers_are_converted_for_a_decomposition(cube):
    signal = io.to_hyperspy(cube)
    with pytest.raises(TypeError, match="must be of the floating-point"):
        signal.decomposition()
    signal.change_dtype("float64")
    signal.decomposition(print_info=False, output_dimension=2)
    assert io.from_hyperspy(signal).equals(cube.astype("float64"))


# ---------------------------------------------------------------- signals from elsewhere


def signal_of(axes: list, *, quantity: str = "", signal_type: str = "", shape=(3, 4, 5), lazy: bool = False):
    metadata = {"General": {"title": "a map"}, "Signal": {"quantity": quantity, "signal_type": ""}}
    signal = hs.signals.Signal1D(np.arange(np.prod(shape)).reshape(shape), axes=axes, metadata=metadata)
    signal.metadata.Signal.signal_type = signal_type
    return signal.as_lazy() if lazy else signal


def raster(unit: str = "µm", step: float = 0.5) -> list:
    return [files["axis"]("y", 3, step, unit), files["axis"]("x", 4, 2 * step, unit)]


@pytest.mark.parametrize(
    ("unit", "um"), [("nm", 1e-3), ("µm", 1.0), ("μm", 1.0), ("um", 1.0), ("mm", 1e3), ("cm", 1e4), ("m", 1e6)]
)
def test_lengths_become_um(unit, um):
    energy = files["axis"]("Energy", 5, 0.01, "keV", navigate=False)
    result = io.from_hyperspy(signal_of([*raster(unit, 0.5 / um), energy]))
    assert result.dims == ("y", "x", "energy")
    assert result.y.values.tolist() == pytest.approx([0.25, 0.75, 1.25])
    assert result.x.values.tolist() == pytest.approx([0.5, 1.5, 2.5, 3.5])
    assert result.attrs["pixel_size_source"] == "file"


@pytest.mark.parametrize(
    ("name", "unit", "signal_type", "dim", "factor"),
    [
        ("Energy", "keV", "", "energy", 1),
        ("Energy", "eV", "EDS_SEM", "energy", 1e-3),
        ("X-ray energy", "eV", "", "energy", 1e-3),
        ("Kinetic energy", "eV", "", "kinetic_energy", 1),
        ("Binding energy", "keV", "", "binding_energy", 1e3),
        ("Raman shift", "1/cm", "", "raman_shift", 1),
        ("Raman Shift", "cm^-1", "", "raman_shift", 1),
        ("Wavelength", "µm", "", "wavelength", 1e3),
        ("m/z", "Da", "", "mz", 1),
        ("Mass-to-charge ratio", "u", "", "mz", 1),
    ],
)
def test_spectral_axes_are_known_by_name_and_unit(name, unit, signal_type, dim, factor):
    axes = [*raster(), files["axis"](name, 5, 2.0, unit, offset=10.0, navigate=False)]
    result = io.from_hyperspy(signal_of(axes, signal_type=signal_type))
    assert result.dims == ("y", "x", dim)
    assert result[dim].values == pytest.approx(factor * (10 + 2 * np.arange(5)))
    assert result[dim].attrs["units"] == ssbmaps._conventions.SPECTRAL_UNITS[dim]


@pytest.mark.parametrize(
    ("axis", "letter"),
    [
        (
            ("Energy", 5, 1.0, "eV"),
            r"axis 'Energy' in 'eV' has no known meaning; say it with dims=\{'Energy': 'kinetic_energy'\}",
        ),
        (("Energy loss", 5, 1.0, "eV"), r"axis 'Energy loss' in 'eV' has no known meaning"),
        (("Raman shift", 5, 1.0, ""), r"axis 'Raman shift' without a unit has no known meaning"),
        (
            ("sig axis", 5, 1.0, "1/cm"),
            r"axis 'sig axis' in '1/cm' has no known meaning; say it with dims=\{'sig axis': 'raman_shift'\}",
        ),
        (
            ("", 5, 1.0, ""),
            r"axis 2 \(without a name\) without a unit has no known meaning; say it with dims=\{2: 'raman_shift'\}",
        ),
    ],
)
def test_an_axis_of_unknown_meaning_is_never_guessed(axis, letter):
    with pytest.raises(ssbmaps.FormatError, match=letter):
        io.from_hyperspy(signal_of([*raster(), files["axis"](*axis, navigate=False)]))


def test_the_caller_names_axes_by_name_or_place():
    axes = [files["axis"]("", 3, 1.0, ""), *raster()[:1], files["axis"]("sig axis", 5, 2.0, "", offset=300.0, navigate=False)]
    axes[1]["size"] = 4
    signal = signal_of(axes)
    result = io.from_hyperspy(signal, dims={0: "scan", "sig axis": "raman_shift"})
    assert result.dims == ("scan", "point", "raman_shift")
    assert result.raman_shift.values.tolist() == [300, 302, 304, 306, 308]
    assert result.distance_along.values.tolist() == [0, 0.5, 1, 1.5]
    assert result.scan.values.tolist() == [0, 1, 2]


def test_a_channel_number_is_no_energy():
    axes = [*raster(), files["axis"]("channel", 5, 1.0, "", navigate=False)]
    with pytest.raises(
        ssbmaps.FormatError, match=r"axis 'channel' is not calibrated \(it counts channels\); expected energy in one of"
    ):
        io.from_hyperspy(signal_of(axes), dims={"channel": "energy"})


def test_wrong_names_in_dims_are_all_told():
    axes = [*raster(), files["axis"]("Raman shift", 5, 1.0, "1/cm", navigate=False)]
    with pytest.raises(
        ssbmaps.FormatError, match=r"2 faults:\n- dims names an axis 'z'; there are axis 'y'.*\n- dims gives 'x' the dim"
    ):
        io.from_hyperspy(signal_of(axes), dims={"z": "scan", "x": "pixels"})


def test_pixels_without_a_scale_ask_for_one():
    shift = files["axis"]("Raman shift", 5, 1.0, "1/cm", navigate=False)
    for unit in ("", "px"):
        with pytest.raises(
            ssbmaps.FormatError, match=r"io\.from_hyperspy: no pixel size \(y and x\) is stated\..*pixel_size=0\.1"
        ):
            io.from_hyperspy(signal_of([*raster(unit), shift]))
    result = io.from_hyperspy(signal_of([*raster(""), shift]), pixel_size=(0.2, 0.1))
    assert result.y.values.tolist() == pytest.approx([0.1, 0.3, 0.5])
    assert result.attrs["pixel_size_source"].startswith("caller")
    with pytest.raises(ssbmaps.FormatError, match="1/nm, which is no length above 0"):
        io.from_hyperspy(signal_of([*raster("1/nm"), shift]))
    with pytest.raises(ssbmaps.FormatError, match="5e\\+13 m, more than a metre"):
        io.from_hyperspy(signal_of([*raster("m", 5e13), shift]))


def test_descending_axes_are_turned_with_their_data_and_offsets_are_the_stage():
    axes = [files["axis"]("y", 3, 500.0, "nm", offset=1000.0), files["axis"]("x", 4, -0.25, "µm", offset=8.0)]
    axes.append(files["axis"]("Raman shift", 5, -2.0, "1/cm", offset=308.0, navigate=False))
    for lazy in (False, True):
        result = io.from_hyperspy(signal_of(axes, quantity="Intensity (Counts)", lazy=lazy))
        assert isinstance(result.data, da.Array if lazy else np.ndarray)
        assert result.raman_shift.values.tolist() == [300, 302, 304, 306, 308]
        assert np.array_equal(result.values, files["CUBE"][..., ::-1])
        assert result.stage_y.values.tolist() == pytest.approx([1.0, 1.5, 2.0])
        assert result.stage_x.values.tolist() == pytest.approx([8.0, 7.75, 7.5, 7.25])
        assert result.x.values.tolist() == pytest.approx([0.125, 0.375, 0.625, 0.875])
        assert (result.attrs["units"], result.attrs["technique"]) == ("counts", "raman")
        assert result.attrs["long_name"] == "a map (Intensity)"
    ssbmaps._conventions.check_contract(result, subject="the result")


def test_people_and_folders_are_not_kept():
    signal = signal_of([*raster(), files["axis"]("Raman shift", 5, 1.0, "1/cm", navigate=False)])
    signal.original_metadata.add_dictionary({"Operator": "A. Person", "saved": "C:\\Users\\person\\x", "dwell": {"time": 0.5}})
    kept = json.loads(io.from_hyperspy(signal).attrs["original_metadata"])
    assert kept["original_metadata"] == {"dwell": {"time": 0.5}}


@pytest.mark.parametrize(
    ("data", "letter"),
    [
        (np.ones((3, 4), complex), "the data are complex numbers; expected real numbers"),
        (np.zeros((3, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")]), r"the data are colours \(RGB\)"),
    ],
)
def test_what_is_no_real_number_is_refused(data, letter):
    with pytest.raises(ssbmaps.FormatError, match=letter):
        io.from_hyperspy(hs.signals.BaseSignal(data))


def test_what_is_no_signal_or_array_is_refused(cube):
    with pytest.raises(ssbmaps.SsbmapsError, match=r"io\.from_hyperspy: expected a HyperSpy signal, got ndarray"):
        io.from_hyperspy(np.ones(3))
    with pytest.raises(ssbmaps.SsbmapsError, match=r"io\.to_hyperspy: expected an xarray\.DataArray, got Dataset"):
        io.to_hyperspy(cube.to_dataset(name="counts"))
    with pytest.raises(ssbmaps.SsbmapsError, match=r"a single number has no axis"):
        io.to_hyperspy(cube.sum())
    dated = cube.assign_coords(when=("scan", np.array(["2026-01-01", "2026-01-02"], "datetime64[ns]")))
    with pytest.raises(ssbmaps.SsbmapsError, match=r"coordinate when is of type datetime64\[ns\]; expected numbers or text"):
        io.to_hyperspy(dated)


def test_a_damaged_note_is_told_of(cube):
    signal = io.to_hyperspy(cube)
    signal.metadata.ssbmaps.layout = "{"
    with pytest.raises(ssbmaps.FormatError, match=r"its metadata 'ssbmaps' is not as ssbmaps wrote it .*; delete it there"):
        io.from_hyperspy(signal)


def test_the_page_on_bridges_runs():
    page = Path(__file__).parents[1] / "docs" / "bridges.md"
    blocks = re.findall(r"```pycon\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    test = doctest.DocTestParser().get_doctest("".join(blocks), {}, page.name, str(page), 0)
    out = streams.StringIO()
    with redirect_stdout(out):
        result = doctest.DocTestRunner().run(test)
    assert result.failed == 0, out.getvalue()
    assert result.attempted >= 15


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("ending", [".hspy", ".zspy"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_what_is_written_reads_back_equal_here_and_in_hyperspy(cube, tmp_path, ending, container):
    path = tmp_path / f"cube{ending}"
    _hyperspy_bridge.write_hyperspy(held(cube, container), path)
    theirs = hs.load(path)
    assert np.array_equal(theirs.data, cube.values)
    assert theirs.axes_manager["x"].units == "µm"
    assert io.from_hyperspy(theirs).identical(cube)
    assert io.to_dense(io.from_hyperspy(hs.load(path, lazy=True))).identical(cube)
    back = io.read(path)
    assert isinstance(back.data, sparse.COO if "sparse" in container else np.ndarray)
    assert back.attrs["history"].splitlines()[0] == "made by hand"
    assert back.attrs["history"].splitlines()[1].startswith("ssbmaps.io.read")
    back.attrs["history"] = "made by hand"
    assert io.to_dense(back).identical(cube)


@pytest.mark.parametrize("ending", [".hspy", ".zspy"])
def test_blocks_are_read_when_they_are_needed(tmp_path, ending):
    whole = io.read(files["write_ours"](tmp_path, ending))
    path = tmp_path / f"ours{ending}"
    lazy = io.read(path, chunks={"y": 2, "x": 3})
    assert lazy.data.chunks == ((2,), (2, 1), (3, 1), (5,))
    assert io.to_dense(lazy).drop_attrs().identical(io.to_dense(whole).drop_attrs())
    assert lazy.data[:, 1, 2, 3].compute().tolist() == whole.values[:, 1, 2, 3].tolist()
    sparse_path = files["write_ours"](tmp_path, ending, "sparse")
    assert isinstance(io.read(sparse_path, chunks=1).data.blocks[0].compute(), sparse.COO)


def test_a_tilt_is_not_applied_twice(tmp_path):
    path = files["write_ours"](tmp_path)
    with pytest.raises(ssbmaps.SsbmapsError, match=r"ours\.hspy: was written by ssbmaps, and y holds its tilt already"):
        io.read(path, tilt=52)
    raman = files["write_raman"](tmp_path)
    assert io.read(raman, tilt=30).y.values[0] == pytest.approx(0.5)  # 0.25 um / sin 30°


def test_a_signal_of_hyperspy_s_own_is_read(tmp_path):
    path = files["write_raman"](tmp_path)
    result = io.read(path)
    assert result.dtype == np.float32
    assert np.array_equal(result.values, files["CUBE"][..., ::-1])
    assert result.raman_shift.values.tolist() == [300, 302, 304, 306, 308]
    assert result.stage_y.values.tolist() == pytest.approx([1, 1.5, 2])
    assert (result.attrs["units"], result.attrs["technique"]) == ("counts", "raman")
    assert "Person" not in result.attrs["original_metadata"]
    told = io.info(path)
    assert (told["format"], told["dims"], told["shape"]) == ("HyperSpy", result.dims, result.shape)
    assert told["pixel_size"] == pytest.approx((0.5, 0.25))
    assert told["axis_range"] == (300, 308)
    lazy = io.read(path, chunks=2)
    assert np.array_equal(io.to_dense(lazy).values, result.values)


def test_a_file_with_two_signals_gives_the_cube_unless_asked(tmp_path):
    path = files["write_two"](tmp_path)
    assert io.info(path)["datasets"] == ("EDS", "SE")
    cube = io.read(path)
    assert cube.dims == ("y", "x", "energy")
    assert cube.attrs["technique"] == "eds"
    image = io.read(path, dataset="SE")
    assert np.array_equal(image.values, files["IMAGE"])
    assert image.x.values[0] == pytest.approx(0.025)
    with pytest.raises(ssbmaps.SsbmapsError, match=r"dataset is 'BSE'; the file holds 'EDS', 'SE'"):
        io.read(path, dataset="BSE")


def test_content_decides_and_other_hdf5_is_not_claimed(tmp_path):
    path = files["write_raman"](tmp_path)
    renamed = path.rename(tmp_path / "raman.dat")
    assert io.info(renamed)["format"] == "HyperSpy"
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = np.ones(3)
    with pytest.raises(ssbmaps.FormatError, match=r"other\.h5: no reader recognises the content"):
        io.read(tmp_path / "other.h5")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ssbmaps.FormatError, match=r"empty: is a folder; give the file inside"):
        io.read(tmp_path / "empty")


def test_a_missing_chunk_is_not_read_as_zeros(tmp_path):
    path = files["write_ours"](tmp_path, ".zspy")
    copy = shutil.copytree(path, tmp_path / "copy.zspy")
    files["chunk_of"](copy).unlink()
    with pytest.raises(
        ssbmaps.FormatError, match=r"copy\.zspy: has 0 chunks of 0 bytes, and \[1, \d+\] were written; the copy is not"
    ):
        io.read(copy)


def test_a_declared_size_beyond_the_file_is_refused(tmp_path, monkeypatch):
    path = files["write_raman"](tmp_path)
    monkeypatch.setattr(_guarded_signals, "_ALWAYS", 100)
    monkeypatch.setattr(_guarded_signals, "_DEFLATE", 0)
    with pytest.raises(
        ssbmaps.FormatError, match=r"data set 'map' is declared as 3 x 4 x 5 values, 240 bytes; the file has \d+ bytes"
    ):
        io.read(path)


@pytest.mark.parametrize("example", [e for e in files["EXAMPLES"] if e.reader == "hyperspy"], ids=lambda e: e.name)
def test_damaged_files_are_refused_or_right(example, tmp_path):
    before = _guard.starts()
    n = 12 if example.name in SLOW else 25
    tally = fuzzing.fuzz(example, tmp_path, n_flips=n, n_cuts=n)
    assert not tally.faults
    assert tally.outcomes["refused"] > n // 2
    assert _guard.starts() - before < 20  # a crash of the HDF5 library costs a new child, not more
