"""Formats read through RosettaSciIO: numbers as planted, several data sets, missing scales, and what is kept out."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import sparse

import ssbmaps
from ssbmaps import io
from ssbmaps.io import _guard, rosettasciio

files = runpy.run_path(str(Path(__file__).with_name("files_bridge.py")), run_name="files_bridge")
fuzzing = sys.modules["fuzzing"]
SLOW = ("sparse.hspy", "ours.zspy, values", "events.pts")  # more files or larger arrays than the others
BCF = files["REAL"][0].path
needs_bcf = pytest.mark.skipif(not BCF.exists(), reason=f"{BCF.name} is not here")


@pytest.mark.parametrize(
    ("write", "values", "pixel", "dims"),
    [
        ("write_emd", "IMAGE", (0.02, 0.01), ("y", "x")),
        ("write_rpl", "CUBE", (0.5, 0.25), ("y", "x", "energy")),
        ("write_map", "IMAGE", (2 / 3, 0.5), ("y", "x")),
        ("write_png", None, (1.0, 1.0), ("y", "x")),
    ],
)
def test_what_rosettasciio_writes_is_read(write, values, pixel, dims, tmp_path):
    path = files[write](tmp_path)
    options = {"pixel_size": 1.0} if values is None else {}
    result = io.read(path, **options)
    expected = files["IMAGE"] * 10 if values is None else files[values]
    assert result.dims == dims
    assert np.array_equal(result.values, expected)
    assert result.y.values[0] == pytest.approx(pixel[0] / 2)
    assert result.x.values[0] == pytest.approx(pixel[1] / 2)
    assert result.attrs["source"] == path.name
    told = io.info(path)
    assert (told["format"], told["dims"], told["shape"]) == ("RosettaSciIO", dims, result.shape)
    assert told["pixel_size"] == (None if values is None else pytest.approx(pixel))
    lazy = io.read(path, chunks=2, **options)
    assert isinstance(lazy.data, da.Array)
    assert lazy.chunks[0] == (2, 1)
    assert io.to_dense(lazy).drop_attrs().identical(result.drop_attrs())


def test_a_surface_is_read_to_the_resolution_of_its_integers(tmp_path):
    result = io.read(files["write_sur"](tmp_path))
    assert np.allclose(result.values, files["IMAGE"] * 0.5, atol=5.5 / 2**31)
    assert result.y.values.tolist() == pytest.approx([1, 3, 5])


def test_jeol_events_become_counts(tmp_path):
    result = io.read(files["write_pts"](tmp_path))
    assert result.dims == ("y", "x", "energy")
    expected = np.zeros((2, 4, 4096))
    expected[:, :, 100] = 1
    expected[1, 2, 1000] = 2
    assert isinstance(result.data, sparse.COO)
    assert np.array_equal(result.data.todense(), expected)
    lazy = io.read(files["write_pts"](tmp_path), chunks={"x": 3})
    assert lazy.data.chunks == ((2,), (3, 1), (4096,))
    assert isinstance(lazy.data.compute(), sparse.COO)
    assert np.array_equal(io.to_dense(lazy).values, expected)
    assert result.dtype == np.uint32
    assert int(io.to_dense(result.sum())) == 10
    assert result.energy.values[[0, 100]] == pytest.approx([-0.5, 0.5])
    assert result.x.values == pytest.approx([0.0625, 0.1875, 0.3125, 0.4375])
    assert (result.attrs["units"], result.attrs["technique"], result.attrs["beam_energy"]) == ("counts", "eds", 15_000)


def test_jeol_events_that_are_cut_short_are_refused(tmp_path):
    path = files["write_pts"](tmp_path)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ssbmaps.FormatError, match=r"events\.pts: has \d+ bytes and states \d+; it is cut short"):
        io.read(path)


def test_an_energy_axis_and_counts(tmp_path):
    result = io.read(files["write_rpl"](tmp_path))
    assert result.energy.values == pytest.approx(0.1 + 0.01 * np.arange(5))
    assert (result.attrs["units"], result.attrs["technique"]) == ("arbitrary", "eds")
    spectrum = io.read(files["write_msa"](tmp_path))
    assert spectrum.values.tolist() == files["COUNTS"].tolist()
    assert spectrum.energy.values == pytest.approx([0.2, 0.21, 0.22, 0.23, 0.24])
    assert spectrum.attrs["units"] == "counts"


def test_a_missing_scale_is_missing(tmp_path):
    path = files["write_png"](tmp_path)
    assert io.info(path)["pixel_size_note"] == "no pixel size (y and x) is stated."
    with pytest.raises(ssbmaps.FormatError, match=r"grey\.png: no pixel size \(y and x\) is stated\. ssbmaps never guesses"):
        io.read(path)


def test_axes_can_be_named_and_plugins_chosen(tmp_path):
    path = files["write_rpl"](tmp_path)
    raw = (
        path.read_text(encoding="latin-1")
        .replace("depth-name\tEnergy", "depth-name\tloss")
        .replace("depth-units\tkeV", "depth-units\t")
    )
    path.write_text(raw, encoding="latin-1")
    with pytest.raises(ssbmaps.FormatError, match=r"cube\.rpl: axis 'loss' without a unit has no known meaning"):
        io.read(path)
    assert io.read(path, dims={"loss": "energy"}).energy.values[0] == pytest.approx(0.1)
    assert io.read(path, dims={2: "energy"}, plugin="ripple").energy.values[0] == pytest.approx(0.1)
    with pytest.raises(ssbmaps.SsbmapsError, match=r"dims is 'energy'; expected a mapping of axes to dimensions"):
        io.read(path, dims="energy")


@pytest.mark.parametrize("plugin", sorted(rosettasciio.EXCLUDED))
def test_excluded_plugins_say_why(plugin, tmp_path):
    path = files["write_png"](tmp_path)
    with pytest.raises(ssbmaps.SsbmapsError, match=rf"grey\.png: plugin '{plugin}' is not used: "):
        io.read(path, reader="rosettasciio", plugin=plugin)


def test_every_plugin_of_rosettasciio_is_read_or_excluded():
    from rsciio import IO_PLUGINS

    known = {f.plugin for f in rosettasciio.FORMATS} | set(rosettasciio.EXCLUDED)
    assert {p["api"].split(".")[1] for p in IO_PLUGINS} <= known
    assert not {f.plugin for f in rosettasciio.FORMATS} & set(rosettasciio.EXCLUDED)


def test_a_plugin_that_runs_code_of_the_file_is_never_reached(tmp_path):
    import pickle

    for name in ("data.npy", "data.nc.emd", "data.prz", "data.npz"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps({"data": 1}))
        with pytest.raises(ssbmaps.FormatError, match="no reader recognises the content"):
            io.read(path)
    with pytest.raises(
        ssbmaps.FormatError, match=r"data\.npy: has an ending that no plugin has; name the plugin, plugin='bruker'"
    ):
        io.read(tmp_path / "data.npy", reader="rosettasciio")
    with pytest.raises(ssbmaps.SsbmapsError, match=r"plugin is 'os'; expected one of bruker"):
        io.read(tmp_path / "data.npy", reader="rosettasciio", plugin="os")


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("a.bcf", b"AAMVHFSX"),
        ("a.dm3", b"\0\0\0\5"),
        ("a.emd", b"no HDF5"),
        ("a.sur", b"DIGITAL SURE"),
        ("a.spx", b"<?xml version='1.0'?><other/>"),
        ("a.xyz", b"AAMVHFSS"),
    ],
)
def test_content_and_ending_decide_together(name, head, tmp_path):
    (tmp_path / name).write_bytes(head + bytes(600))
    assert not rosettasciio.sniff(tmp_path / name)


def test_sniffing_knows_every_mark(tmp_path):
    for known in rosettasciio.FORMATS:
        for at, mark in known.begins:
            path = tmp_path / f"a{known.suffixes[0]}"
            path.write_bytes(bytes(at) + mark + known.holds + bytes(9))
            assert rosettasciio.sniff(path)
            assert rosettasciio._plugin(path, None) == known.plugin


def test_a_short_spectrum_is_refused_where_the_library_reads_on(tmp_path):
    path = files["write_msa"](tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"90.0")])
    with pytest.raises(ssbmaps.FormatError, match=r"eds\.msa: does not end with '#ENDOFDATA'"):
        io.read(path)


def test_a_library_s_error_names_the_file_and_what_it_said(tmp_path):
    path = tmp_path / "short.bcf"
    path.write_bytes(b"AAMVHFSS" + bytes(400))
    with pytest.raises(ssbmaps.FormatError, match=r"short\.bcf: cannot be read; its reader stopped with \w+"):
        io.read(path)


@needs_bcf
@pytest.mark.parametrize("real", files["REAL"], ids=lambda r: str(r.options.get("dataset")))
def test_the_real_bruker_map(real):
    rows = real.compare()
    assert rows
    assert [r for r in rows if not r[3]] == []


@needs_bcf
def test_the_real_bruker_map_in_detail():
    told = io.info(BCF)
    assert told["datasets"] == ("BSE", "SE", "EDX")
    assert (told["dataset"], told["dims"], told["shape"]) == ("EDX", ("y", "x", "energy"), (75, 100, 2048))
    cube = io.read(BCF)
    assert (cube.attrs["units"], cube.attrs["technique"]) == ("counts", "eds")
    assert cube.attrs["beam_energy"] == 20_000
    assert cube.energy.values[[0, -1]] == pytest.approx(told["axis_range"])
    kept = json.loads(cube.attrs["original_metadata"])
    assert kept["plugin"] == "bruker"
    assert "user" not in json.dumps(kept).lower()
    image = io.read(BCF, dataset="BSE")
    assert image.attrs["units"] == "arbitrary"
    with pytest.raises(ssbmaps.SsbmapsError, match=r"dataset is 'EDS'; the file holds 'BSE', 'SE', 'EDX'"):
        io.read(BCF, dataset="EDS")


@needs_bcf
def test_the_real_bruker_map_equals_rosettasciio_s():
    from rsciio.bruker import file_reader

    bse, se, edx = file_reader(str(BCF))
    for name, theirs in (("BSE", bse), ("SE", se), ("EDX", edx)):
        ours = io.read(BCF, dataset=name)
        assert np.array_equal(ours.values, theirs["data"])
        assert ours.dtype == theirs["data"].dtype


@needs_bcf
def test_a_bruker_map_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / "map.bcf"
    path.write_bytes(BCF.read_bytes()[:155648])  # enough for its header and some pixels, which the library reads
    with pytest.raises(ssbmaps.FormatError, match=r"map\.bcf: has 155648 bytes and states 594200; it is cut short"):
        io.read(path)


@needs_bcf
def test_a_damaged_bruker_map_is_refused_or_right(tmp_path):
    def write(folder: Path) -> Path:
        path = folder / "map.bcf"
        path.write_bytes(BCF.read_bytes())
        return path

    example = fuzzing.Example("bcf", "rosettasciio", write, {"dataset": "BSE"}, boundaries=files["every"](4096))
    tally = fuzzing.fuzz(example, tmp_path, n_flips=8, n_cuts=8)
    assert not tally.faults


@pytest.mark.parametrize("example", [e for e in files["EXAMPLES"] if e.reader == "rosettasciio"], ids=lambda e: e.name)
def test_damaged_files_are_refused_or_right(example, tmp_path):
    before = _guard.starts()
    n = 12 if example.name in SLOW else 25
    tally = fuzzing.fuzz(example, tmp_path, n_flips=n, n_cuts=n)
    assert not tally.faults
    assert tally.outcomes["refused"] > n // 2
    assert _guard.starts() - before < 20


def test_what_was_described_is_not_parsed_again_for_its_data(tmp_path, monkeypatch):
    from ssbmaps.io import _rosettasciio_child as child

    path, parsed = tmp_path / "a.bcf", []

    def any_(path, plugin):
        parsed.append(plugin)
        axes = [{"name": d, "units": "um", "scale": 1.0, "offset": 0.5, "size": n} for d, n in (("y", 2), ("x", 3))]
        return [{"data": np.frombuffer(path.read_bytes(), np.uint8).reshape(2, 3), "axes": axes, "metadata": {}}]

    monkeypatch.setattr(child, "_any", any_)
    monkeypatch.setattr(child, "_FOUND", {})
    for first in (1, 40):  # written anew in the same tick of the clock: described anew
        path.write_bytes(bytes(range(first, first + 6)))
        os.utime(path, ns=(10**18, 10**18))
        child.describe(path, "bruker", None, "a.bcf")
        whole = first + np.arange(6).reshape(2, 3)
        assert np.array_equal(child.load(path, "bruker", 0, [0, 1], [])[1]["data"], whole)
        turned = child.load(path, "bruker", 0, [1, 0], [1], [[0, 3], [0, 1]])[1]["data"]
        assert np.array_equal(turned, whole.T[:, ::-1][:, :1])
    path.write_bytes(bytes(range(6)))  # another file: not that of the description
    assert child.load(path, "bruker", 0, [0, 1], [])[1]["data"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert len(parsed) == 3
