"""The command line as its user meets it: output, exit codes, letters instead of tracebacks, nothing overwritten unasked."""

from __future__ import annotations

import doctest
import inspect
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import ssbmaps
from ssbmaps import cli
from ssbmaps._conventions import raster_coords, spectral_coord


@pytest.fixture
def imzml(tmp_path):
    """A 2 × 3 section of 0.5 um pixels; channels 24.0, 32.0, 63.0 Da; counts 0 … 17 in C order."""
    coords = raster_coords((2, 3), (0.5, 0.5)) | {"mz": spectral_coord("mz", [24.0, 32.0, 63.0])}
    values = np.arange(18, dtype=np.uint32).reshape(2, 3, 3)
    attrs = {"units": "counts", "technique": "tof-sims", "polarity": "negative", "history": "made by a test"}
    cube = xr.DataArray(values, dims=("y", "x", "mz"), coords=coords, attrs=attrs)
    return ssbmaps.synthetic.write_imzml(cube, tmp_path / "small.imzML")


def run(capsys, *words):
    """Exit code, stdout, stderr of one command in this process."""
    with pytest.raises(SystemExit) as caught:
        cli.main(list(map(str, words)))
    out = capsys.readouterr()
    return caught.value.code or 0, out.out, out.err


def test_info_prints_what_the_header_says(capsys, imzml):
    code, out, err = run(capsys, "info", imzml)
    assert (code, err) == (0, "")
    assert "0.5" in out
    assert "tof-sims" in out


def test_info_as_json(capsys, imzml):
    code, out, _ = run(capsys, "info", imzml, "--json")
    assert code == 0
    assert json.loads(out)["technique"] == "tof-sims"


def test_formats_lists_every_reader(capsys):
    code, out, _ = run(capsys, "formats")
    assert code == 0
    for row in ssbmaps.io.formats():
        assert row["name"] in out


def test_convert_writes_what_load_reads(capsys, imzml, tmp_path):
    code, out, _ = run(capsys, "convert", imzml, tmp_path / "small.zarr")
    assert code == 0
    assert "y 2, x 3, mz 3" in out
    assert ssbmaps.io.load(tmp_path / "small.zarr").identical(ssbmaps.io.read(imzml))


def test_convert_takes_readers_options(capsys, imzml, tmp_path):
    code, _, err = run(
        capsys, "convert", imzml, tmp_path / "a.nc", "--mz-range", "30", "64", "--mz-bin", "1.0", "--pixel-size", "0.25,0.125"
    )
    assert (code, err) == (0, "")
    cube = ssbmaps.io.load(tmp_path / "a.nc")
    assert float(cube.mz[0]) >= 30
    assert int(cube.data.sum()) == sum(v for v in range(18) if v % 3)
    np.testing.assert_allclose(cube.x, [0.0625, 0.1875, 0.3125])


def test_nothing_is_overwritten_unasked(capsys, imzml, tmp_path):
    target = tmp_path / "small.nc"
    assert run(capsys, "convert", imzml, target)[0] == 0
    before = target.read_bytes()
    code, _, err = run(capsys, "convert", imzml, target)
    assert code == 1
    assert "small.nc" in err
    assert target.read_bytes() == before
    assert run(capsys, "convert", imzml, target, "--force")[0] == 0


@pytest.mark.parametrize("verb", ["info", "convert"])
def test_a_missing_file_is_a_letter(capsys, tmp_path, verb):
    words = [verb, tmp_path / "absent.imzML", *([tmp_path / "out.nc"] if verb == "convert" else [])]
    code, out, err = run(capsys, *words)
    assert (code, out) == (1, "")
    assert "absent.imzML" in err
    assert "Traceback" not in err


def test_a_broken_file_is_a_letter_and_leaves_nothing_behind(capsys, imzml, tmp_path):
    ibd = imzml.with_suffix(".ibd")
    ibd.write_bytes(ibd.read_bytes()[:-4])
    code, _, err = run(capsys, "convert", imzml, tmp_path / "out.zarr")
    assert code == 1
    assert "small.ibd" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small.ibd", "small.imzML"]


@pytest.mark.parametrize("place", [0, 2])
def test_debug_shows_the_traceback(tmp_path, place):
    words = ["info", str(tmp_path / "absent.imzML")]
    words.insert(place, "--debug")
    done = subprocess.run([sys.executable, "-m", "ssbmaps.cli", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_wrong_words_are_exit_code_two(capsys, imzml, tmp_path):
    assert run(capsys, "convert", imzml)[0] == 2
    code, _, err = run(capsys, "convert", imzml, tmp_path / "a.nc", "--pixel-size", "wide")
    assert code == 2
    assert "expected a number or 'Y,X' in um" in err


def test_a_fault_of_ours_is_named_as_ours(capsys, monkeypatch, imzml):
    monkeypatch.setattr(ssbmaps.io, "info", lambda path: 1 / 0)  # noqa: ARG005
    code, _, err = run(capsys, "info", imzml)
    assert code == 3
    assert "unexpected ZeroDivisionError" in err
    assert "fault of ssbmaps" in err


def test_version(capsys):
    assert run(capsys, "--version")[:2] == (0, f"ssbmaps {ssbmaps.__version__}\n")


def test_progress_on_a_terminal_and_silence_in_a_pipe(imzml, tmp_path):
    def convert(name, stderr):
        words = [sys.executable, "-m", "ssbmaps.cli", "convert", str(imzml), str(tmp_path / name)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=stderr, env={**os.environ, "TERM": "xterm"})

    piped = convert("a.nc", subprocess.PIPE)
    assert piped.communicate()[1] == b""
    ours, theirs = pty.openpty()
    shown = convert("b.nc", theirs)
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux says EIO when the other side closes
            break
        if not piece:
            break
        seen += piece
    shown.communicate()
    os.close(ours)
    assert b"writing" in seen
    assert shown.returncode == piped.returncode == 0


def test_demo_makes_a_page_that_stands_alone(tmp_path, capsys, monkeypatch):
    """The one run of the demo in the suite, and the longest way through all rooms; the docstring's example is this run, too."""
    folder, calls = tmp_path / "demo", []
    real, expected = ssbmaps.study.demo, inspect.signature(ssbmaps.study.demo)

    def watched(*words, **options):
        page = real(*words, **options)
        calls.append((expected.bind(*words, **options), page))
        return page

    monkeypatch.setattr(ssbmaps.study, "demo", watched)
    code, out, _ = run(capsys, "demo", "--output", folder, "--size", 128)
    assert code == 0
    assert str(folder / "index.html") in out
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 6
    assert "Apparent thickness of the POx-emitting region" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    profile = ssbmaps.io.load(folder / "profile.nc")
    inside, outside = (profile["mean"].sel(fragment="NiO2-").sel(distance=d, method="nearest") for d in (-1.0, 1.0))
    assert float(inside) > 5 * float(outside)
    names = {Path(p).name for p in folder.iterdir()}
    assert {
        "section.imzML",
        "section.ibd",
        "maps.zarr",
        "components.nc",
        "interphase.nc",
        "shell.pdf",
        "bulk.png",
        "maps.png",
    } <= names
    assert not [n for n in names if n.endswith((".part", ".tmp"))]
    assert run(capsys, "demo", "--output", folder, "--size", 128)[0] == 1
    ((first, made),) = calls
    first.apply_defaults()
    written = first.arguments | {"report": None}

    def again(*words, **options):
        """What `demo` returned, if the same section is asked for."""
        asked = expected.bind(*words, **options)
        asked.apply_defaults()
        assert asked.arguments | {"output": folder} == written
        return made

    monkeypatch.setattr(ssbmaps.study, "demo", again)
    example = doctest.DocTestParser().get_doctest(real.__doc__.replace("  # doctest: +SKIP", ""), {}, "demo", None, None)
    assert len(example.examples) == 3
    assert doctest.DocTestRunner().run(example).failed == 0
