"""VAMAS: planted maps of every mode come back, and real files give the manifest's numbers."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ssbmaps
from ssbmaps import DataQualityWarning, FormatError, SsbmapsError, io

files = runpy.run_path(str(Path(__file__).with_name("files_sam.py")), run_name="files_sam")
block, vamas = files["block"], files["vamas"]
EXAMPLES = [e for e in files["EXAMPLES"] if e.reader == "vamas"]


def spectrum(values, **said):
    """A block of a NORM file."""
    return block(values, **{"species": "Ni", "transition": "LMM", "start": 840, "step": 2, **said})


# ------------------------------------------------------------------------------------------------- what comes back


def test_a_map_with_a_block_for_each_pixel(tmp_path):
    cube = io.read(files["write_map"](tmp_path), dataset="Ni LMM")
    assert cube.dims == ("y", "x", "kinetic_energy")
    assert np.array_equal(cube.values, files["NI"])
    assert np.allclose(cube.y, [0.2, 0.6, 1.0])
    assert np.allclose(cube.x, [0.25, 0.75, 1.25, 1.75])
    assert cube.kinetic_energy.values.tolist() == [840, 842, 844, 846, 848]
    assert (cube.units, cube.long_name) == ("counts", "Intensity")
    said = {k: cube.attrs[k] for k in ("technique", "spectrum_mode", "beam_energy", "pixel_size_source")}
    assert said == {"technique": "sam", "spectrum_mode": "direct", "beam_energy": 10000, "pixel_size_source": "file"}


def test_regions_and_corresponding_variables_are_data_sets(tmp_path):
    path = files["write_map"](tmp_path)
    assert io.info(path)["datasets"] == ("Ni LMM", "S LVV", "Ni LMM: Transmission")
    assert np.array_equal(io.read(path, dataset="S LVV").values, files["S"])
    named, alone = io.read(path, dataset="Ni LMM: Transmission"), io.read(path, dataset="Transmission")
    assert np.array_equal(named.values, files["TRANSMISSION"])
    assert np.array_equal(alone.values, files["TRANSMISSION"])
    assert (named.units, named.long_name) == ("arbitrary", "Transmission")
    with pytest.raises(SsbmapsError, match="3 data sets: 'Ni LMM', 'S LVV'"):
        io.read(path)
    with pytest.raises(SsbmapsError, match="dataset is 'O KLL'"):
        io.read(path, dataset="O KLL")


def test_pixels_without_a_block_are_not_measured(tmp_path):
    path = files["write_incomplete"](tmp_path)
    with pytest.warns(DataQualityWarning, match="2 of 12 pixels of the map have no block"):
        cube = io.read(path, dataset="Ni LMM")
    absent = np.zeros((3, 4), bool)
    absent[2, 2:] = True
    assert np.array_equal(cube.measured.values, ~absent)
    assert np.array_equal(np.isnan(cube.values).all(axis=-1), absent)
    assert np.array_equal(cube.values[~absent], files["NI"][~absent])
    assert "2 of 12" in " ".join(io.info(path)["warnings"])


def test_layers_of_a_map_and_blocks_that_leave_out_what_they_share(tmp_path):
    cube = io.read(files["write_layers"](tmp_path))
    assert cube.dims == ("scan", "y", "x", "kinetic_energy")
    assert np.array_equal(cube.values, files["LAYERS"])
    assert cube.etch_time.values.tolist() == [0, 30]
    assert cube.etch_time.attrs == {"long_name": "Etch Time", "units": "s"}


def test_layers_of_one_pixel_may_leave_out_its_place(tmp_path):
    said = {
        "species": "Ni",
        "start": 840,
        "step": 1,
        "view": (1, 1),
        "variables": (("Intensity", "d"), ("Sum", "d"), ("Sum", "d")),
    }
    blocks = [block([(i, 2, 3), (5, 6, 7)], place=(2, 1), experimental=(i,), **said) for i in range(4)]
    path = vamas(tmp_path / "a.vms", "MAP", blocks, full=(1, 2), positions=2, listed=(10,), variables=(("Cycle", "d"),))
    with pytest.warns(DataQualityWarning, match="1 of 2 pixels of the map have no block in every layer"):
        cube = io.read(path)
    assert cube.values[:, 0, 1, 0].tolist() == [0, 1, 2, 3]
    assert cube.measured.values.tolist() == [[False, True]]
    assert io.info(path)["datasets"] == ("Ni", "Ni: Sum", "Ni: Sum (2)")


def test_images_are_turned_to_run_downwards_and_to_the_right(tmp_path):
    path = files["write_images"](tmp_path)
    cube = io.read(path)
    assert cube.dims == ("line", "y", "x")
    assert np.array_equal(cube.values, files["IMAGES"])
    assert cube.line.values.tolist() == ["Ni LMM", "Ni LMM (2)", "S LVV"]
    assert cube.transition.values.tolist() == ["Ni LMM", "Ni LMM", "S LVV"]
    assert cube.kinetic_energy.values.tolist() == [846, 860, 152]
    assert cube.kinetic_energy.attrs["units"] == "eV"
    assert np.array_equal(io.read(path, dataset="Sigma").values, files["IMAGES"] / 2)


def test_images_in_layers_and_the_image_of_a_microscope(tmp_path):
    cube = io.read(files["write_image_layers"](tmp_path))
    assert cube.dims == ("scan", "line", "y", "x")
    assert np.array_equal(cube.values, files["IMAGE_LAYERS"])
    assert cube.sputter_time.values.tolist() == [0, 15]
    assert cube.line.values.tolist() == ["O KLL", "C KLL"]
    image = io.read(files["write_sem"](tmp_path))
    assert np.array_equal(image.values[0], files["SEM"])
    assert image.attrs["technique"] == "sem"
    assert "spectrum_mode" not in image.attrs
    assert (image.units, image.line.values.tolist()) == ("arbitrary", ["SE"])


@settings(max_examples=24, deadline=None)
@given(st.booleans(), st.booleans(), st.booleans(), st.integers(2, 5), st.integers(2, 4))
def test_linescans_in_every_direction(tmp_path_factory, along_y, left, up, nx, ny):
    """Brute force: visit the pixels as the instrument does, and write what each holds."""
    xs, ys = list(range(nx, 0, -1) if left else range(1, nx + 1)), list(range(ny, 0, -1) if up else range(1, ny + 1))
    visits = [(x, y) for x in xs for y in ys] if along_y else [(x, y) for y in ys for x in xs]
    first_end = visits[(ny if along_y else nx) - 1]
    b = block([10 * y + x for x, y in visits], species="S", linescan=(*visits[0], *first_end, *visits[-1]), view=(nx, ny))
    path = vamas(tmp_path_factory.mktemp("turned") / "turned.vms", "MAPSV", [b], scan="MAPPING")
    image = io.read(path).values[0]
    assert np.array_equal(image, [[10 * y + x for x in range(1, nx + 1)] for y in range(1, ny + 1)])


def test_derivative_spectra_keep_their_sign_and_missing_is_not_zero(tmp_path):
    cube = io.read(files["write_derivative"](tmp_path))
    assert np.array_equal(cube.values, [-5, 4, np.nan, 1, -1, 2], equal_nan=True)
    assert cube.attrs["spectrum_mode"] == "derivative"
    assert (cube.units, cube.attrs["beam_energy"]) == ("arbitrary", 3000)
    assert cube.kinetic_energy.values[[0, -1]].tolist() == [20, 22.5]


def test_irregular_scans_take_their_axis_from_the_ordinates(tmp_path):
    path = files["write_irregular"](tmp_path)
    cube = io.read(path)
    assert cube.binding_energy.values.tolist() == [285, 288, 289.5, 290]
    assert cube.values.tolist() == [1, 4, 9, 3]
    assert (cube.units, cube.attrs["technique"]) == ("counts/s", "xps")
    assert "spectrum_mode" not in cube.attrs
    assert io.info(path)["axis_range"] == (285, 290)


def test_a_map_of_irregular_scans_has_one_axis(tmp_path):
    def write(middle):
        blocks = [
            block([(290, x + 10 * y), (middle if x else 288, 1), (285, np.nan)], place=(x + 1, y + 1), technique="XPS",
                  species="C", view=(3, 2), variables=(("Binding Energy", "eV"), ("Intensity", "c/s")))
            for y in range(2) for x in range(3)
        ]  # fmt: skip
        return vamas(tmp_path / "a.vms", "MAP", blocks, scan="IRREGULAR", full=(2, 3), positions=6)

    cube = io.read(write(288))
    assert cube.binding_energy.values.tolist() == [285, 288, 290]
    assert np.array_equal(cube.values[..., 2], [[0, 1, 2], [10, 11, 12]])
    assert np.isnan(cube.values[..., 0]).all()
    with pytest.raises(FormatError, match="block 2: its abscissa differs from that of block 1"):
        io.read(write(287))


def test_profiles_and_spectra_without_a_raster(tmp_path):
    profile = io.read(files["write_profile"](tmp_path))
    assert np.array_equal(profile.values, 10 * np.arange(4)[:, None] + np.arange(3))
    assert profile.etch_time.values.tolist() == [0, 10, 20, 30]
    single = io.read(files["write_single"](tmp_path))
    assert single.dims == ("scan", "line")
    assert np.array_equal(single.values.T, [[1, 2, 3, 4, 5], [11, 12, 13, 14, 15]])
    assert single.sputter_time.values.tolist() == [0, 6, 12, 18, 24]
    none = io.read(files["write_none"](tmp_path))
    assert (none.values.tolist(), none.dims, none.attrs["technique"]) == ([4, 5, 6], ("kinetic_energy",), "els")


def test_repeats_without_a_variable_are_points_and_times_are_time(tmp_path):
    repeated = [spectrum([1, 2, 3], identifier=f"b{i}", sample=s) for i, s in enumerate(("fresh", "aged"))]
    cube = io.read(vamas(tmp_path / "a.vms", "NORM", repeated))
    assert cube.dims == ("point", "kinetic_energy")
    assert cube.sample_name.values.tolist() == ["fresh", "aged"]
    placed = [spectrum([1, 2, 3], experimental=(5, -2 * i)) for i in range(2)]
    cube = io.read(vamas(tmp_path / "c.vms", "NORM", placed, variables=(("Stage X", "mm"), ("Y position", "micro m"))))
    assert cube.stage_x.values.tolist() == [5000, 5000]
    assert cube.stage_y.values.tolist() == [0, -2]
    timed = [spectrum([1, i, 3], experimental=(60 * i, 300 + i)) for i in range(3)]
    path = vamas(tmp_path / "b.vms", "NORM", timed, variables=(("Total Time", "s"), ("Temperature", "K")))
    cube = io.read(path)
    assert cube.dims == ("time", "kinetic_energy")
    assert cube.time.values.tolist() == [0, 60, 120]
    assert cube.temperature.values.tolist() == [300, 301, 302]


def test_regions_of_one_name_and_two_axes_are_told_apart(tmp_path):
    blocks = [spectrum([1, 2], start=s, identifier=f"Wide/{i}") for i, s in enumerate((840, 100))]
    path = vamas(tmp_path / "two.vms", "NORM", blocks, regions=2)
    assert io.info(path)["datasets"] == ("Ni LMM (840 to 842 eV)", "Ni LMM (100 to 102 eV)")
    assert io.read(path, dataset="Wide/1").kinetic_energy.values.tolist() == [100, 102]


def test_chunks_give_the_same_values_and_info_agrees_with_read(tmp_path):
    for example in EXAMPLES[:1] + EXAMPLES[3:]:
        path = example.write(tmp_path)
        cube, told = io.read(path, **example.options), io.info(path)
        assert (told["dims"], told["shape"]) == (cube.dims, cube.shape), example.name
        if told["axis"]:
            axis = cube[told["axis"]].values
            assert told["axis_range"] == (axis.min(), axis.max())
        if "y" in cube.dims:
            assert np.allclose(told["pixel_size"], (2 * cube.y[0], 2 * cube.x[0]))
            lazy = io.read(path, chunks=2, **example.options)
            assert max(lazy.chunksizes["y"]) <= 2
            assert lazy.equals(cube)


def test_people_and_folders_are_not_kept(tmp_path):
    path = files["write_irregular"](tmp_path)
    said = io.read(path).attrs["original_metadata"]
    assert "erson" not in said
    assert json.loads(said)["first_block"]["comment"] == ["Casa Info Follows", "0"]
    path.write_text(path.read_text().replace("Casa Info Follows", "Operator: A. Person"))
    assert "erson" not in io.read(path).attrs["original_metadata"]


# ---------------------------------------------------------------------------------------------------- pixel size


def test_a_pixel_size_is_never_guessed(tmp_path):
    blocks = [block([1, 2], place=(i + 1, 1), species="Ni", start=840, step=1) for i in range(3)]
    path = vamas(tmp_path / "a.vms", "MAP", blocks, full=(1, 3), positions=3)
    assert io.info(path)["pixel_size"] is None
    with pytest.raises(FormatError, match="no pixel size"):
        io.read(path)
    cube = io.read(path, pixel_size=(0.2, 0.1), tilt=30)
    assert np.allclose(cube.x, [0.05, 0.15, 0.25])
    assert np.isclose(cube.y.attrs["pixel_size_um"], 0.4)  # 0.2 / sin 30°
    assert cube.attrs["pixel_size_source"].startswith("caller")


def test_fields_of_view_that_differ_give_no_pixel_size(tmp_path):
    blocks = [block([1, 2], place=(i + 1, 1), species="Ni", start=840, step=1, view=(3 + i, 1)) for i in range(3)]
    path = vamas(tmp_path / "a.vms", "MAP", blocks, full=(1, 3), positions=3)
    with pytest.raises(FormatError, match="different fields of view x: 3, 4, 5 um"):
        io.read(path)


@pytest.mark.parametrize(("step", "right"), [(0.5, True), (0.7, False)])
def test_places_of_the_stage_must_agree_with_the_field_of_view(tmp_path, step, right):
    said = {"species": "Ni", "start": 840, "step": 1, "view": (1.5, 1)}
    blocks = [
        block([1, 2], place=(x + 1, y + 1), experimental=(7000 + 1e3 * step * x, -3000 - 500 * y), **said)
        for y in range(2)
        for x in range(3)
    ]
    path = vamas(tmp_path / "a.vms", "MAP", blocks, full=(2, 3), positions=6, variables=(("X", "nm"), ("Stage Y", "nm")))
    if right:
        cube = io.read(path)
        assert np.allclose(cube.x, [0.25, 0.75, 1.25])
        assert np.allclose(cube.stage_x[0], [7, 7.5, 8])
        assert np.allclose(cube.stage_y[:, 0], [-3, -3.5])
        assert cube.stage_x.attrs["units"] == "um"
    else:
        with pytest.raises(FormatError, match=r"pixel size x 0\.7 um contradicts the extent x 1\.5 um"):
            io.read(path)


def test_a_placeholder_is_no_number_of_pixels(tmp_path):
    blocks = [
        block([10 * y + x, 0], place=(16000 + 8 * x, 16000 + 4 * y), species="Ni", start=840, step=1, view=(500, 500))
        for y in range(2)
        for x in range(3)
    ]
    path = vamas(tmp_path / "a.vms", "MAP", blocks, full=(32768, 32768), positions=6)
    with pytest.raises(FormatError, match="32768, a placeholder, so the field of view gives no pixel size"):
        io.read(path)
    cube = io.read(path, pixel_size=2)
    assert np.array_equal(cube.values[..., 0], [[0, 1, 2], [10, 11, 12]])
    points = io.read(vamas(tmp_path / "b.vms", "MAP", blocks[:-1], full=(32768, 32768), positions=5))
    assert points.dims == ("point", "kinetic_energy")
    assert points.position_x.values.tolist() == [16000, 16008, 16016, 16000, 16008]
    assert "x" not in points.coords


def test_positions_picked_from_a_large_frame_are_points(tmp_path):
    picked = [(200, 20000), (4, 3)]
    blocks = [block(np.arange(3) + i, place=p, species="Ni", start=840, step=1, view=(300, 300)) for i, p in enumerate(picked)]
    path = vamas(tmp_path / "a.vms", "MAP", blocks, full=(30000, 30000), positions=2)
    cube = io.read(path)
    assert cube.dims == ("point", "kinetic_energy")
    assert np.allclose(cube.x, [1.995, 0.035])  # 0.01 um pixels, centres
    assert np.allclose(cube.y, [199.995, 0.025])
    path.write_text(path.read_text().replace("\n2\n30000\n30000\n", "\n3\n30000\n30000\n"))
    with pytest.raises(FormatError, match="full map is declared as 30000 x 30000"):
        io.read(path)


def test_an_image_inside_a_frame_needs_the_callers_pixel_size(tmp_path):
    b = block(np.arange(6), species="S", linescan=(11, 21, 13, 21, 13, 22), view=(100, 100))
    path = vamas(tmp_path / "part.vms", "MAPSV", [b], scan="MAPPING")
    with pytest.raises(FormatError, match="begins inside a frame"):
        io.read(path)
    assert np.array_equal(io.read(path, pixel_size=0.1).values[0], np.arange(6).reshape(2, 3))


# -------------------------------------------------------------------------------------------- others, and damage


@pytest.mark.parametrize("real", files["REAL"], ids=lambda r: f"{r.file} {r.options.get('dataset', '')}")
def test_real_files_give_the_manifests_numbers(real):
    if not real.path.exists():
        pytest.skip("the instrument files of shared/data are not on this machine")
    wrong = [row for row in real.compare() if not row[-1]]
    assert not wrong


def test_the_package_vamas_reads_the_same_numbers(tmp_path):
    peer = pytest.importorskip("vamas")
    path = files["write_map"](tmp_path)
    blocks = peer.Vamas(path).blocks
    for name in ("Ni", "S"):
        cube = io.read(path, dataset=f"{name} {'LMM' if name == 'Ni' else 'LVV'}")
        theirs = {(b.y_coord, b.x_coord): b for b in blocks if b.species_label == name}
        assert len(theirs) == 12
        for (y, x), b in theirs.items():
            assert cube.values[y - 1, x - 1].tolist() == b.corresponding_variables[0].y_values
            assert np.allclose(cube.kinetic_energy, b.x_start + b.x_step * np.arange(cube.sizes["kinetic_energy"]))


@pytest.mark.parametrize("name", ["aes-staib-vms.vms", "mjr9_59c.vms"])
def test_the_package_vamas_reads_real_files_alike(name):
    peer = pytest.importorskip("vamas")
    path = Path(__file__).parents[2] / "shared" / "data" / "vamas" / name
    if not path.exists():
        pytest.skip("the instrument files of shared/data are not on this machine")
    blocks = peer.Vamas(path).blocks
    for theirs in blocks:
        cube = io.read(path, dataset=theirs.block_identifier)
        assert cube.values.tolist() == theirs.corresponding_variables[0].y_values
        assert np.allclose(cube.kinetic_energy, theirs.x_start + theirs.x_step * np.arange(cube.size))


def test_version_is_recorded(tmp_path):
    history = io.read(files["write_none"](tmp_path)).attrs["history"]
    assert history == f'ssbmaps.io.read {ssbmaps.__version__} {{"path": "none.vms", "reader": "vamas"}}'
