"""imzML: planted maps come back, whatever the dialect, the order, the types and the blocks."""

from __future__ import annotations

import json
import pickle
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ssbmaps
from ssbmaps import io
from ssbmaps._arrays import to_csr, to_dense

files = runpy.run_path(str(Path(__file__).with_name("io_files.py")), run_name="io_files")
Spectrum, cv, write = files["Spectrum"], files["cv"], files["write_imzml"]
MZ, PLANTED, planted_spectra = files["MZ"], files["PLANTED"], files["planted_spectra"]


def test_planted_map_with_its_coordinates_and_attributes(tmp_path):
    path = write(tmp_path, planted_spectra())
    cube = io.read(path)
    assert np.array_equal(to_dense(cube.data), PLANTED)
    assert np.array_equal(cube.mz.values, MZ)
    assert cube.dtype == np.uint32
    assert cube.data.fill_value == 0
    assert cube.data.nnz == 12
    assert cube.x.values.tolist() == [0.25, 0.75, 1.25]
    assert cube.y.values.tolist() == [0.125, 0.375]
    attrs = cube.attrs
    assert (attrs["units"], attrs["technique"], attrs["polarity"]) == ("counts", "tof-sims", "negative")
    assert attrs["source"] == "small.imzML"
    assert len(attrs["source_sha256"]) == 64
    assert str(tmp_path) not in json.dumps(attrs)
    assert attrs["history"] == f'ssbmaps.io.read {ssbmaps.__version__} {{"path": "small.imzML", "reader": "imzml"}}'
    assert json.loads(attrs["original_metadata"])["ibd"]["name"] == "small.ibd"
    assert cube.name is None


def spectra_all_channels(**options):
    return [Spectrum(x + 1, y + 1, MZ, PLANTED[y, x], **options) for y in range(2) for x in range(3)]


def test_continuous_and_processed_agree_and_mode_is_judged_by_the_offsets(tmp_path):
    processed = io.read(write(tmp_path, spectra_all_channels(), name="processed"))
    continuous = io.read(write(tmp_path, spectra_all_channels(), name="continuous", mode="continuous"))
    lying = io.read(write(tmp_path, spectra_all_channels(), name="lying", edit=lambda t: t.replace("IMS:1000031", "IMS:1000030")))
    assert np.array_equal(to_dense(processed.data), PLANTED)
    assert processed.equals(continuous)
    assert processed.equals(lying)
    assert io.info(tmp_path / "continuous.imzML")["channels"] == 4
    assert io.info(tmp_path / "processed.imzML")["channels"] is None


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i4", "<i8", "<i1", "<i2"])
@pytest.mark.parametrize("compressed", [False, True])
def test_every_number_type_and_zlib(tmp_path, dtype, compressed):
    path = write(tmp_path, planted_spectra(type=dtype), compressed=compressed)
    cube = io.read(path)
    assert np.array_equal(to_dense(cube.data), PLANTED)
    assert cube.dtype == np.uint32


def test_single_precision_masses_keep_their_value(tmp_path):
    cube = io.read(write(tmp_path, planted_spectra(mz_type="<f4")))
    assert np.array_equal(cube.mz.values, MZ.astype("<f4").astype(float))


def test_two_precisions_in_one_file_are_read_each_in_its_own(tmp_path):
    spectra = planted_spectra()
    for spectrum, mz_type, dtype in zip(spectra, ["<f8", "<f4"] * 3, ["<f4", "<f8", "<i2"] * 2, strict=True):
        spectrum.mz = np.round(np.asarray(spectrum.mz) * 4) / 4  # quarters are exact in both precisions
        spectrum.mz_type, spectrum.type = mz_type, dtype
    cube = io.read(write(tmp_path, spectra))
    assert np.array_equal(cube.mz.values, np.round(MZ * 4) / 4)
    assert np.array_equal(to_dense(cube.data), PLANTED)


def test_spectra_in_any_order_and_bytes_out_of_step(tmp_path):
    spectra = planted_spectra(type="<i1")  # single bytes put the following m/z arrays at odd offsets
    order = [4, 0, 5, 2, 1, 3]
    cube = io.read(write(tmp_path, [spectra[i] for i in order]))
    assert np.array_equal(to_dense(cube.data), PLANTED)


def arrays_first(text):
    """The scan list of each spectrum after its arrays, against the schema."""
    return re.sub(r"(<scanList.*?</scanList>)(<binaryDataArrayList.*?</binaryDataArrayList>)", r"\2\1", text)


DIALECTS = {
    "arrays before positions": {"edit": arrays_first},
    "windows-1252": {"encoding": "windows-1252", "extra": '<sampleList><sample id="Gießen €"/></sampleList>'},
    "crlf on one line": {"newline": "\r\n", "edit": lambda t: t.replace("\r\n", "", 3)},
    "latin-1": {"encoding": "iso-8859-1", "extra": '<sampleList><sample id="Gießen"/></sampleList>'},
    "utf-16": {"encoding": "utf-16", "extra": '<sampleList><sample id="Gießen"/></sampleList>'},
    "no polarity, no encoded length": {"polarity": "", "encoded": False},
    "prefixed names": {
        "edit": lambda t: t.replace("<", "<m:").replace("<m:/", "</m:").replace("<m:?", "<?").replace("xmlns=", "xmlns:m="),
    },
    "byte order mark": {"edit": lambda t: "\ufeff" + t},
    "bytes of the UUID as Windows keeps them": {
        "edit": lambda t: t.replace("{9D501BDC53444916B7E97E795B02C856}", "dc1b509d-4453-1649-b7e9-7e795b02c856"),
    },
    "chromatograms after the spectra": {
        "edit": lambda t: t.replace("</spectrumList>", "</spectrumList><chromatogramList><binaryDataArray/></chromatogramList>"),
    },
    "ending in capitals": {"ibd_name": "small.IBD"},
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialects(tmp_path, dialect):
    cube = io.read(write(tmp_path, planted_spectra(), **DIALECTS[dialect]))
    assert np.array_equal(to_dense(cube.data), PLANTED)


def test_text_in_another_encoding_than_declared_warns(tmp_path):
    path = write(tmp_path, planted_spectra(), encoding="iso-8859-1", extra='<sampleList><sample id="Gießen"/></sampleList>')
    path.write_bytes(path.read_bytes().replace(b'encoding="iso-8859-1"', b'encoding="utf-8"'))
    with pytest.warns(ssbmaps.DataQualityWarning, match="read as ISO-8859-1"):
        cube = io.read(path)
    assert np.array_equal(to_dense(cube.data), PLANTED)


def test_missing_pixels_are_unmeasured_and_an_empty_spectrum_is_a_choice(tmp_path):
    spectra = planted_spectra()
    del spectra[1]
    cube = io.read(write(tmp_path, spectra, name="hole"))
    assert cube.measured.values.tolist() == [[True, False, True], [True, True, True]]
    spectra.insert(1, Spectrum(2, 1, [], []))
    path = write(tmp_path, spectra, name="empty")
    with pytest.raises(ssbmaps.FormatError, match=r"spectrum 2 \(id 'Scan=2', pixel x=2, y=1\): its arrays are empty \(bytes"):
        io.read(path)
    zero = io.read(path, empty_spectra="zero")
    assert "measured" not in zero.coords
    assert to_dense(zero.data)[0, 1].sum() == 0
    with pytest.warns(ssbmaps.DataQualityWarning, match="1 of 6 spectra skipped"):
        skipped = io.read(path, skip_bad=True)
    assert np.array_equal(skipped.measured.values, cube.measured.values)


def test_floats_stay_floats_and_large_ones_are_not_called_counts(tmp_path):
    spectra = planted_spectra()
    spectra[0].values = np.array([3.5, 1.0])
    cube = io.read(write(tmp_path, spectra, name="float"))
    assert (cube.dtype, cube.attrs["units"]) == (np.float32, "arbitrary")
    assert io.read(tmp_path / "float.imzML", mz_bin=1).dtype == np.float64
    spectra[0].values = np.array([2.0**25, 1.0])  # float32 cannot tell this from its odd neighbours
    assert io.read(write(tmp_path, spectra, name="large")).attrs["units"] == "arbitrary"
    for spectrum in spectra:
        spectrum.type = "<f8"
    assert io.read(write(tmp_path, spectra, name="exact")).attrs["units"] == "counts"
    spectra[0].values = np.array([2.0**33, 1.0])
    cube = io.read(write(tmp_path, spectra, name="wide"))
    assert cube.dtype == np.uint64
    assert int(cube.data[0, 0, 0]) == 2**33


def test_negative_values_are_kept_only_where_they_are_no_counts(tmp_path):
    spectra = planted_spectra()
    spectra[3].values = np.array([7.0, -1.0, 2.0])
    with pytest.raises(ssbmaps.FormatError, match=r"spectrum 4 .*x=1, y=2\): its intensity array holds counts below 0"):
        io.read(write(tmp_path, spectra))
    with pytest.warns(ssbmaps.DataQualityWarning, match="1 of 6 spectra skipped"):
        cube = io.read(tmp_path / "small.imzML", skip_bad=True)
    assert not cube.measured.values[1, 0]
    spectra[0].values = np.array([0.5, 1.0])
    with pytest.warns(ssbmaps.DataQualityWarning, match="1 of 6 spectra hold intensities below 0"):
        cube = io.read(write(tmp_path, spectra))
    assert float(cube.data[1, 0, 1]) == -1.0


def test_planes_of_z_become_a_dimension(tmp_path):
    spectra = planted_spectra(z=2) + planted_spectra(z=5)
    for spectrum in spectra[6:]:
        spectrum.values = np.asarray(spectrum.values) * 10
    cube = io.read(write(tmp_path, spectra))
    assert cube.dims == ("z", "y", "x", "mz")
    assert cube.z.values.tolist() == [2, 5]
    assert np.array_equal(to_dense(cube.data), np.stack([PLANTED, 10 * PLANTED]))
    assert io.info(tmp_path / "small.imzML")["shape"] == (2, 2, 3, None)
    path = write(tmp_path, spectra[:-1])
    with pytest.raises(ssbmaps.FormatError, match="measured in 1 of 2 planes z"):
        io.read(path)
    with pytest.warns(ssbmaps.DataQualityWarning, match="1 of 11 spectra skipped"):
        cube = io.read(path, skip_bad=True)
    assert cube.measured.values.tolist() == [[True] * 3, [True, True, False]]
    assert cube.data[:, 1, 2].nnz == 0


def test_mass_range_and_bins_hold_their_low_edge_and_not_their_high_edge(tmp_path):
    path = write(tmp_path, planted_spectra())
    ranged = io.read(path, mz_range=(24.0005, 62.9641))
    assert ranged.mz.values.tolist() == [24.0005, 31.9726]
    assert np.array_equal(to_dense(ranged.data), PLANTED[:, :, :2])
    binned = io.read(path, mz_range=(24.0005, 78.9591), mz_bin=10)
    assert binned.mz_low.values == pytest.approx([24.0005, 34.0005, 44.0005, 54.0005, 64.0005, 74.0005])
    assert binned.mz_high.values[-1] == 78.9591
    expected = np.zeros((2, 3, 6))
    expected[:, :, 0] = PLANTED[:, :, :2].sum(axis=2)
    expected[:, :, 3] = PLANTED[:, :, 2]
    assert np.array_equal(to_dense(binned.data), expected)
    whole = io.read(path, mz_bin=10.0)
    assert whole.mz_low.values.tolist() == [20, 30, 40, 50, 60, 70]
    assert int(whole.data.data.sum()) == 43
    ppm = io.read(path, mz_bin="50000 ppm")
    ratio = ppm.mz_high.values / ppm.mz_low.values
    assert ratio == pytest.approx(1.05, rel=1e-12)
    assert np.log(ppm.mz_low.values) / np.log(1.05) == pytest.approx(np.round(np.log(ppm.mz_low.values) / np.log(1.05)), abs=1e-9)
    assert int(ppm.data.data.sum()) == 43
    empty = io.read(path, mz_range=(200, 201), mz_bin=0.5)
    assert empty.data.nnz == 0
    with pytest.raises(ssbmaps.SsbmapsError, match="no m/z lies in mz_range"):
        io.read(path, mz_range=(200, 201))


@pytest.mark.parametrize("chunks", [1, {"y": 1, "x": 2}, {"x": 1}, 99])
@pytest.mark.parametrize("mode", ["processed", "continuous"])
def test_lazy_blocks_are_sparse_and_give_the_same_cube(tmp_path, chunks, mode):
    path = write(tmp_path, spectra_all_channels(), mode=mode)
    lazy, eager = io.read(path, chunks=chunks), io.read(path)
    assert type(lazy.data).__module__.startswith("dask")
    assert isinstance(lazy.data.blocks[0, 0, 0].compute(), sparse.COO)
    assert lazy.compute().equals(eager)
    assert lazy.name is None
    part = lazy[1:, ::-1, [0, 3]]
    assert np.array_equal(to_dense(part.data), PLANTED[1:, ::-1][:, :, [0, 3]])
    assert (to_csr(lazy.data) != to_csr(eager.data)).nnz == 0


def test_blocks_can_be_sent_to_other_processes(tmp_path):
    from ssbmaps.io import imzml

    lazy = imzml.read(write(tmp_path, planted_spectra()), chunks=1).data
    source = next(v for v in dict(lazy.dask).values() if hasattr(v, "value") or type(v).__name__ == "LazyCube")
    cube = getattr(source, "value", source)
    assert np.array_equal(pickle.loads(pickle.dumps(cube))[0:1, 0:3].todense(), PLANTED[:1])


def test_info_never_reads_the_binary_half(tmp_path):
    path = write(tmp_path, planted_spectra())
    whole = io.info(path)
    size = (tmp_path / "small.ibd").stat().st_size
    (tmp_path / "small.ibd").write_bytes(b"?" * size)
    assert io.info(path) == whole
    assert whole["shape"] == (2, 3, None)
    assert whole["pixel_size"] == (0.25, 0.5)
    assert whole["warnings"] == ()
    (tmp_path / "small.ibd").write_bytes(b"?" * (size - 4))
    assert "spectrum 6 (id 'Scan=6', pixel x=3, y=2): its intensity array should fill bytes" in io.info(path)["warnings"][0]
    (tmp_path / "small.ibd").unlink()
    assert io.info(path)["warnings"] == ("the binary half small.ibd is missing.",)


cubes = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(
        st.just(shape),
        st.lists(st.integers(0, 3), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))),
        st.permutations(range(shape[0] * shape[1])),
        st.sampled_from(["<f4", "<f8", "<i2"]),
    )
)


@given(cubes)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sparse_cube_survives(tmp_path, drawn):
    (ny, nx, k), values, order, dtype = drawn
    dense = np.array(values).reshape(ny, nx, k)
    axis = 20.0 + np.arange(k) * 7.3
    spectra = [Spectrum(x + 1, y + 1, axis[d > 0], d[d > 0], type=dtype) for y, r in enumerate(dense) for x, d in enumerate(r)]
    settings_ = cv("IMS:1000042", nx) + cv("IMS:1000043", ny) + cv("IMS:1000046", "1")
    path = write(tmp_path, [spectra[i] for i in order], settings=settings_)
    used = dense.any(axis=(0, 1))
    if not used.any():
        with pytest.raises(ssbmaps.SsbmapsError, match="holds no m/z value"):
            io.read(path, empty_spectra="zero")
        return
    cube = io.read(path, empty_spectra="zero")
    assert np.array_equal(cube.mz.values, axis[used])
    assert np.array_equal(to_dense(cube.data), dense[:, :, used])
    binned = io.read(path, empty_spectra="zero", mz_bin=0.5)
    assert np.array_equal(to_dense(binned.data).sum(axis=2), dense.sum(axis=2))
    inside = (axis[:, None] >= binned.mz_low.values) & (axis[:, None] < binned.mz_high.values)  # brute force
    assert np.array_equal(to_dense(binned.data), dense @ inside)


@pytest.mark.parametrize("mode", ["processed", "continuous"])
@pytest.mark.parametrize("values", [1, 3, 5, 7])
def test_block_by_block_gives_the_same(tmp_path, monkeypatch, mode, values):
    path = write(tmp_path, spectra_all_channels(), mode=mode)
    whole, binned = io.read(path), io.read(path, mz_bin=10)
    monkeypatch.setattr("ssbmaps.io._imzml_binary._BLOCK_VALUES", values)
    assert io.read(path).identical(whole)
    assert io.read(path, mz_bin=10).identical(binned)
    ragged = write(tmp_path, planted_spectra(type="<i2"), name="ragged")
    assert np.array_equal(to_dense(io.read(ragged).data), PLANTED)


def test_lazy_blocks_find_the_file_from_another_folder(tmp_path, monkeypatch):
    write(tmp_path, planted_spectra())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    lazy = io.read("small.imzML", chunks=1)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert np.array_equal(to_dense(lazy.data), PLANTED)
