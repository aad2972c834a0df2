"""The lines of a VAMAS file: read many at a time or one by one, they say the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ssbmaps.io import _vamas_lines, _vamas_parts
from ssbmaps.io._vamas_header import IMAGES, MODES, NUMBERED, POINTWISE, SCANS, TECHNIQUES

WHOLE = ["0", "7", "-12", " 45 ", "+3", "123456789012", "-4503599627370497"]


def lines_of(tmp_path, texts, encoding="utf-8"):
    path = tmp_path / "a.vms"
    path.write_bytes("".join(f"{text}\r\n" for text in texts).encode(encoding))
    return _vamas_lines.Lines(path)


@pytest.mark.parametrize(
    "texts",
    [
        WHOLE,
        [*WHOLE, "1E37"],
        [*WHOLE, "0.5"],
        [*WHOLE, "-0"],
        [*WHOLE, "9007199254740993"],  # lies between two floats
        [*WHOLE, "99999999999999999999"],  # beyond 64 bits
        [*WHOLE, "-99999999999999999999"],
        ["1.5", "-2E-3", "1e37"],
    ],
)
def test_numbers_are_those_that_python_reads(tmp_path, texts):
    expected = np.array([float(t) for t in texts])
    expected[expected >= 1e37] = np.nan
    found = lines_of(tmp_path, texts).values(0, len(texts))
    assert found.dtype == np.float64
    assert np.array_equal(found, expected, equal_nan=True)
    assert np.array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("wrong", ["", "5-3", "--5", "1_0", "0x10", "4 5", "five", "-"])
def test_what_is_no_number_is_not_taken_for_one(tmp_path, wrong):
    lines = lines_of(tmp_path, [*WHOLE, wrong])
    assert lines.joined([(0, len(WHOLE) + 1)]) is None
    np.testing.assert_array_equal(lines.joined([(0, 3), (5, 2)]), [float(WHOLE[i]) for i in (0, 1, 2, 5, 6)])


@pytest.mark.parametrize("step", [1, 7, 79, 80, 81, 200])
def test_lines_come_in_order_however_many_are_taken(tmp_path, step):
    texts = [f"line {i}" for i in range(200)]
    lines = lines_of(tmp_path, [f" {text}\0" for text in texts])
    found = []
    while lines.number < len(lines):
        ahead = lines.peek(3)
        names = [""] * min(step, len(lines) - lines.number)
        taken = lines.texts(names)
        assert [a.strip(" \r\0") for a in ahead[: len(taken)]] == taken[:3]
        found += taken
    assert found == texts
    lines.number = 100  # back again
    assert lines.text("x") == "line 100"
    assert lines.peek(500)[-1] == " line 199\0\r"
    lines.number = 198
    with pytest.raises(_vamas_lines.CutShortError, match=r"a\.vms: third should take 1 lines after line 200"):
        lines.texts(["first", "second", "third"])


def test_a_line_that_is_no_utf8_leaves_the_others_as_they_are(tmp_path):
    path = tmp_path / "a.vms"
    path.write_bytes("µm\n".encode() + b"\xb5A\n" + "°C\n".encode())
    assert _vamas_lines.Lines(path).texts(["", "", ""]) == ["µm", "µA", "°C"]


def test_runs_hold_the_parts_of_the_standard_in_order():
    rng = np.random.default_rng(1)
    some = [None, *(tuple(rng.random(NUMBERED + 1) < 0.6) for _ in range(6))]
    for mode, scan, technique, included in itertools.product(MODES, SCANS, TECHNIQUES.values(), some):
        expected, found = [], []
        for part, names in _vamas_parts.PARTS:
            known = technique if part > _vamas_parts.TECHNIQUE else ""
            if (included is None or included[part]) and (not names or _vamas_parts.present(part, mode, scan, known)):
                expected += names or [part]
        for half in (0, 1):
            for part, names in _vamas_parts.runs(half, technique if half else "", mode, scan, included):
                found += names or [part]
                assert part != 10 or (len(names) == 2 and mode in POINTWISE)  # places differ from block to block
                assert part != 18 or mode in IMAGES
        assert found == expected
