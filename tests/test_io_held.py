"""A file is read once: what is held of it, for whom, and for how long."""

from __future__ import annotations

import hashlib
import runpy
from pathlib import Path

import pytest

from ssbmaps import io
from ssbmaps.io import _held

sam = runpy.run_path(str(Path(__file__).with_name("files_sam.py")), run_name="files_sam")


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(b"0123456789")
    return file


def test_a_held_file_is_not_looked_at_again(path):
    with _held.held(path, 10):
        path.write_bytes(b"something else")
        assert _held.content(path) == b"0123456789"
        assert _held.head(path, 4) == b"0123"
        assert _held.head(Path(str(path)), 100) == b"0123456789"
        with _held.opened(path) as handle:
            assert handle.read() == b"0123456789"
        assert _held.sha256(path) == hashlib.sha256(b"0123456789").hexdigest()
    assert _held.content(path) is None
    assert _held.head(path, 9) == b"something"


def test_another_file_is_not_taken_for_it(path, tmp_path):
    other = tmp_path / "b.bin"
    other.write_bytes(b"other")
    with _held.held(path, 10):
        assert _held.content(other) is None
        assert _held.head(other, 3) == b"oth"
        with _held.opened(other) as handle:
            assert handle.read() == b"other"
        assert _held.sha256(other) == hashlib.sha256(b"other").hexdigest()


@pytest.mark.parametrize("size", [None, _held._MODERATE])
def test_folders_and_long_files_are_not_held(path, size):
    with _held.held(path, size):
        assert _held.content(path) is None


def test_it_is_let_go_after_an_error(path):
    with pytest.raises(KeyError, match="x"), _held.held(path, 10):
        raise KeyError("x")
    assert _held.content(path) is None


def test_the_checksum_of_a_long_file_is_made_ahead(path, monkeypatch):
    content = bytes(range(256)) * (_held._MODERATE // 256 + 1)
    path.write_bytes(content)
    asked = []
    whole = _held._provenance.file_sha256
    monkeypatch.setattr(_held._provenance, "file_sha256", lambda p: asked.append(p) or whole(p))
    with _held.hashed_ahead(path, len(content)):
        assert _held.sha256(path) == _held.sha256(path) == hashlib.sha256(content).hexdigest()
    assert asked == [path]
    with _held.hashed_ahead(path, 10):  # a moderate one is hashed when it is asked for
        assert asked == [path]


def test_reading_opens_a_moderate_file_once(tmp_path, monkeypatch):
    file = sam["write_images"](tmp_path)
    opened = []
    whole = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: opened.append(self.name) or whole(self, *a, **k))
    cube = io.read(file)
    assert opened.count(file.name) == 1
    assert cube.attrs["source_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
