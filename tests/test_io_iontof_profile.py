"""IONTOF depth profiles as text: planted counts come back, sums and ratios apart; damage and doubt are told."""

from __future__ import annotations

import math
import runpy
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ssbmaps import DataQualityWarning, FormatError, SsbmapsError, interfaces, io
from ssbmaps.io import _registry

HERE = Path(__file__).parent
files = runpy.run_path(str(HERE / "files_sims.py"), run_name="files_sims")
fuzzing = runpy.run_path(str(HERE / "fuzzing.py"), run_name="fuzzing")
write, K, PLANTED = files["write_iontof"], files["K"], files["IONTOF"]
REAL = files["REAL"][0]
LEFT_OUT = pytest.mark.filterwarnings("ignore:.*nothing is counted at data point 7:ssbmaps.DataQualityWarning")
QUIET = pytest.mark.filterwarnings("ignore::ssbmaps.DataQualityWarning")


def changed(path, *pairs):
    """The file with the first `old` of each (old, new) replaced."""
    raw = path.read_bytes()
    for old, new in pairs:
        assert old.encode() in raw
        raw = raw.replace(old.encode(), new.encode(), 1)
    path.write_bytes(raw)
    return path


def told(path, **options):
    """What is read, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cube = io.read(path, **options)
    assert all(w.category is DataQualityWarning and w.filename == __file__ for w in caught)
    return cube, " | ".join(str(w.message) for w in caught)


def test_counts_of_single_ions_come_back(tmp_path):
    cube, words = told(write(tmp_path))
    assert words == "profile.txt: nothing is counted at data point 7, not even in the total: not measured, and left out."
    assert cube.dims == ("scan", "fragment")
    assert cube.dtype == np.uint32
    assert cube.fragment.values.tolist() == list(PLANTED)
    assert cube.label.values.tolist() == ["PO_2-", "^34S-", "PO_3-"]
    assert np.array_equal(cube.values, np.array(list(PLANTED.values())).T)
    assert cube.mz.values.tolist() == [62.9641, 33.9684, 78.9591]
    assert cube.mz.attrs["units"] == "Da"
    assert cube.total.values.tolist() == (500 + 10 * K).tolist()
    assert cube.scan.values.tolist() == K.tolist()
    assert cube.data_point.values.tolist() == (K + 1).tolist()
    scales = {
        "sputter_time": (2.5 * K, "s"),
        "dose": (1000 + 40000 * K, "ions"),
        "fluence": (1e10 + 2e12 * K, "ions/cm^2"),
    }
    for name, (values, unit) in scales.items():
        assert cube[name].dims == ("scan",)
        assert np.allclose(cube[name], values, rtol=5e-6)  # six digits are written
        assert cube[name].attrs["units"] == unit
    assert (cube.attrs["units"], cube.attrs["technique"], cube.attrs["polarity"]) == ("counts", "tof-sims", "negative")
    assert "Profile Smoothing is Disabled" in cube.attrs["original_metadata"]


@given(st.tuples(st.integers(1, 5), st.integers(1, 4)).flatmap(lambda s: arrays(np.int64, s, elements=st.integers(0, 999_999))))
def test_any_whole_counts_come_back(counts):
    """Up to six digits, which are all that the format has."""
    n = counts.shape[1]
    rows = [["#", "", *(f"C_{i + 1}-" for i in range(n))], ["#", "", *(f"{12 * (i + 1)}.0005" for i in range(n))]]
    rows += [["#Data Point #", "Sputter Time (s)", *["Intensity"] * n]]
    rows += [[f"{k + 1}", f"{0.1 * k:g}", *(f"{v:g}" for v in row)] for k, row in enumerate(counts)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.txt")
        path.write_text("".join("\t".join(row) + "\n" for row in rows))
        cube, words = told(path)
    assert "compare its end" in words
    assert np.array_equal(cube.values, counts)
    assert (cube.dtype, cube.attrs["units"]) == (np.uint32, "counts")


@LEFT_OUT
def test_sums_and_ratios_stay_out_of_the_counts(tmp_path):
    path = write(tmp_path)
    assert io.info(path)["datasets"] == ("counts", "sums", "derived")
    sums = io.read(path, dataset="sums")
    assert sums.fragment.values.tolist() == ["PO_2-PO_3-"]
    assert sums.values[:, 0].tolist() == (PLANTED["PO2-"] + PLANTED["PO3-"]).tolist()
    assert (sums.attrs["units"], sums.dtype, sums.attrs["polarity"]) == ("counts", np.uint32, "negative")
    assert np.isnan(sums.mz.values).all()
    with pytest.warns(DataQualityWarning, match=r"NaN where .* the denominator counted nothing: 'PO_2- / \( \^34S- \)' 2\."):
        ratio = io.read(path, dataset="derived")
    assert np.array_equal(ratio.values[:, 0], [np.nan, 37, 17, np.nan, 28, 12.5], equal_nan=True)
    assert ratio.attrs["units"] == "1"
    with pytest.raises(SsbmapsError, match="dataset is 'ratios'; the file holds 'counts', 'sums', 'derived'"):
        io.read(path, dataset="ratios")


@LEFT_OUT
def test_counts_corrected_for_dead_time_stay_counts_and_are_told(tmp_path):
    with pytest.warns(DataQualityWarning, match="as counts corrected for dead time do"):
        cube = io.read(write(tmp_path, pulses=16384))
    assert (cube.dtype, cube.attrs["units"]) == (np.float64, "counts")
    planted = np.array(list(PLANTED.values())).T
    assert np.allclose(cube, files["corrected"](planted, 16384), rtol=5e-6)
    assert cube.values[1, 1] == 1.00003  # 1 + 1/(2·16384), six digits
    with pytest.warns(DataQualityWarning, match="corrected for dead time"):
        assert io.read(write(tmp_path, pulses=16384), dataset="sums").attrs["units"] == "counts"


@pytest.mark.parametrize("factor", [1 / 540, 0.37, math.pi])
def test_normalised_signals_are_no_counts(tmp_path, factor):
    path = write(tmp_path)
    lines = path.read_text().splitlines()
    cells = [line.split("\t") for line in lines[4:]]
    lines[4:] = ["\t".join([*c[:4], *(f"{float(v) * factor:g}" for v in c[4:-1]), ""]) for c in cells]
    path.write_text("\n".join([*lines, ""]))
    cube, words = told(path)
    assert "may be normalised or smoothed" in words
    assert cube.attrs["units"] == "arbitrary"
    assert "units" not in cube.total.attrs


def test_subtracted_counts_are_no_counts_and_negative_whole_ones_are_damage(tmp_path):
    path = changed(write(tmp_path, pulses=16384, blank=False), ("\t37.0418\t", "\t-0.25\t"))
    cube, words = told(path)
    assert "negative values (lowest -0.25): a background was subtracted" in words
    assert cube.attrs["units"] == "arbitrary"
    path = changed(write(tmp_path, blank=False), ("\t37\t", "\t-37\t"))
    with pytest.raises(FormatError, match=r"negative counts \(lowest -37\)"):
        io.read(path)


def test_what_cannot_be_told_to_be_whole_says_where_it_ends(tmp_path):
    cube, words = told(write(tmp_path, blank=False))
    assert (
        words
        == "profile.txt: it does not say how many data points there should be; compare its end, number 6, sputter time 12.5 s."
    )
    assert cube.sizes["scan"] == 6


def test_a_blank_data_point_is_left_out_only_where_a_total_says_so(tmp_path):
    cube, words = told(changed(write(tmp_path), ("\t520\t34\t2\t36\t2\t", "\t0\t0\t0\t0\t0\t")))
    assert "nothing is counted at data point 3, 7, not even" in words
    assert cube.scan.values.tolist() == [0, 1, 3, 4, 5]
    assert cube.data_point.values.tolist() == [1, 2, 4, 5, 6]
    assert cube.sputter_time.values.tolist() == [0, 2.5, 7.5, 10, 12.5]
    without, words = told(write(tmp_path, total=False))
    assert "nothing is counted" not in words
    assert without.values[-1].tolist() == [0, 0, 0]
    assert "total" not in without.coords
    few, words = told(changed(write(tmp_path), ("\t550\t", "\t12\t")))  # zero counts where twelve are expected: once in 160 000
    assert few.values[-1].tolist() == [0, 0, 0]
    assert "compare its end, number 7" in words


@QUIET
@pytest.mark.parametrize(
    "options",
    [
        {"newline": "\n"},
        {"decimal": ","},
        {"encoding": "utf-16"},
        {"encoding": "utf-8-sig"},
        {"scales": ("Sputter Time (s)",)},
        {"unit": "Intensity (counts)"},
    ],
    ids=str,
)
def test_the_same_however_it_was_saved(tmp_path, options):
    expected = io.read(write(tmp_path))
    if "scales" in options:
        expected = expected.drop_vars(["dose", "fluence"])
    xr.testing.assert_equal(io.read(write(tmp_path, **options)), expected)


@LEFT_OUT
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_labels_and_units_in_any_letters(tmp_path, encoding):
    labels = ("total", "PO_2-", "Grün", "PO_2-PO_3-", "PO_3-", "PO_2- / ( Grün )")
    cube = io.read(write(tmp_path, labels=labels, scales=("Tiefe (µm)",), encoding=encoding))
    assert cube.fragment.values.tolist() == ["PO2-", "Grün", "PO3-"]
    assert cube.tiefe.attrs["units"] == "µm"


@LEFT_OUT
@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("^118SnI_3-", "118SnI3-"),
        ("Sn^118SnI_5-", "Sn^118SnI5-"),
        ("^207Pb^206PbI_5-", "207Pb^206PbI5-"),
        ("SO_4^2-", "SO4^2-"),
        ("Cs_12-", "Cs12-"),
        ("C_60-", "C60-"),
        ("PS43-", "PS43-"),
        ("NH_3^+", "NH_3^+"),
        ("Sum of rest", "Sum of rest"),
    ],
)
def test_labels_of_ions_become_the_names_of_the_contract(tmp_path, label, name):
    labels = ("total", label, *files["IONTOF_LABELS"][2:])
    cube = io.read(write(tmp_path, labels=labels))
    assert cube.fragment.values[0] == name
    assert cube.label.values[0] == label


def test_a_label_that_stands_twice_names_neither(tmp_path):
    labels = ("total", "SnO+", "SnO+", "SnO+Sn+", "Sn+", "SnO+ / ( Sn+ )")
    path = write(tmp_path, labels=labels)
    cube, words = told(path)
    assert "several signals are called 'SnO+'; their m/z is added to the names" in words
    assert cube.fragment.values.tolist() == ["SnO+ (62.9641)", "SnO+ (33.9684)", "Sn+"]
    assert cube.attrs["polarity"] == "positive"
    assert any("SnO+" in text for text in io.info(path)["warnings"])
    both, _ = told(write(tmp_path, labels=("total", "SnO+", "I-", "SnO+I-", "Sn+", "SnO+ / ( I- )")))
    assert "polarity" not in both.attrs


@pytest.mark.parametrize(
    ("pairs", "letter"),
    [
        ([("\tPO_2-\t", "\t")], r"the header has 10 labels, 11 masses, 11 units; expected as many of each"),
        (
            [("62.9641", "heavy"), ("33.9684", "-3")],
            r"(?s)2 faults:.*'PO_2-' is 'heavy'.*'\^34S-' is '-3'; expected a number above 0",
        ),
        ([("Sputter Time (s)", "")], "column 2 has no label, and '' as its unit"),
        ([("Dose (ions)", "Sputter Time (s)")], "column 3 has no label, and .Sputter Time .s.. as its unit"),
        ([("Dose (ions)", "Intensity")], "column 3 has no label, and 'Intensity' as its unit"),
        ([("#Data", "Data")], "expected a row of labels and one of masses, both with # in front"),
        ([("\t37\t", "\tinf\t")], "line 6 holds 'inf' for 'PO_2-'; expected a finite number"),
        ([("\t37\t", "\tNaN\t"), ("\t34\t", "\tinf\t")], r"(?s)2 faults:.*line 6 holds 'NaN'.*line 7 holds 'inf'"),
        ([("\t37\t", "\tmany\t")], "line 6 holds 'many' where a number is expected"),
        ([("\t37\t", "\t37,5\t")], "line 6 holds '37,5' where a number is expected"),
        ([("\t37\t", "\t\t")], "line 6 holds '' where a number is expected"),
        ([("\t37\t", "\t")], "line 6 has 9 fields, expected 10. The file is cut short or damaged"),
        ([("\t37\t", "\t37\t1\t")], "line 6 has 11 fields, expected 10"),
        ([("3\t5\t", "3\t2\t")], "line 7: the sputter time falls; the file is damaged"),
        ([("\n3\t", "\n2\t")], "line 7: the number of the data point does not rise"),
        ([("\n3\t", "\n3.5\t")], "line 7: the data point is 3.5; expected a whole number"),
    ],
)
def test_letters(tmp_path, pairs, letter):
    path = changed(write(tmp_path), *pairs)
    with pytest.raises(FormatError, match=letter):
        io.read(path, reader="iontof_profile")


@LEFT_OUT
@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([("\n3\t", "\n# \n3\t")], None),
        (
            [("Smoothing is Disabled", "Smoothing is Enabled")],
            "it says 'Profile Smoothing is Enabled': neighbours are not independent",
        ),
        ([("3\t5\t", "3\t2.5\t")], "the sputter time does not rise from each data point to the next"),
        ([("3\t5\t81000\t4.01e+12\t520\t34\t2\t36\t2\t17\t\r\n", "")], "data points are missing after number 2"),
    ],
)
def test_doubts_are_told_by_read_and_by_info(tmp_path, pairs, words):
    path = changed(write(tmp_path), *pairs)
    if words is None:
        with pytest.raises(FormatError, match="line 7 has 1 fields, expected 10"):
            io.read(path)
        return
    with pytest.warns(DataQualityWarning, match=words):
        io.read(path)
    assert any(words in text for text in io.info(path)["warnings"])


def test_a_cut_last_line_is_refused_or_left_out(tmp_path):
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:-40])  # all of line 11, and the end of line 10
    with pytest.raises(FormatError, match="the last line, 10, has no line end: the file is cut short"):
        io.read(path)
    cube, words = told(path, skip_bad=True)
    assert "the last line is cut short, and left out" in words
    assert cube.sizes["scan"] == 5


def test_headers_without_rows_or_without_signals(tmp_path):
    path = write(tmp_path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:4]))
    with pytest.raises(FormatError, match="holds no data points below its header"):
        io.read(path)
    path.write_text("#\t\n#\t\n#Data Point #\tSputter Time (s)\n1\t0\n")
    with pytest.raises(FormatError, match="has no column of a signal"):
        io.read(path)
    path.write_text("#\t\ttotal\n#\t\tN/A\n#Data Point #\tSputter Time (s)\tIntensity\n1\t0\t3\n")
    cube, _ = told(path)
    assert (cube.fragment.values.tolist(), cube.values.tolist()) == (["total"], [[3]])


@QUIET
def test_one_reader_claims_it_and_info_agrees_with_read(tmp_path):
    path = write(tmp_path)
    claims = [m for m in _registry._MODULES if m != "rosettasciio" and _registry._module(m).sniff(path)]
    assert claims == ["iontof_profile"]
    about, cube = io.info(path), io.read(path)
    assert (about["dims"], about["shape"], about["polarity"]) == (cube.dims, cube.shape, cube.attrs["polarity"])
    lazy = io.read(path, chunks={"scan": 2})
    assert lazy.chunksizes["scan"] == (2, 2, 2)
    assert lazy.equals(cube)
    for name in ("a.zarr", "a.nc"):
        xr.testing.assert_identical(io.load(io.save(cube, tmp_path / name)).load(), cube)


@LEFT_OUT
def test_what_is_read_is_what_the_test_for_edge_layers_takes(tmp_path):
    found = interfaces.detect_edge_layer(io.read(write(tmp_path)), depth="sputter_time")
    assert found.fragment.values.tolist() == list(PLANTED)
    assert found.testable.values.tolist() == [1, 1, 1]
    assert found.depth_scale.attrs["units"] == "s"


needs_real = pytest.mark.skipif(not REAL.path.exists(), reason="the real instrument files are not here")


@needs_real
@QUIET
def test_the_real_file_is_what_is_stated_of_it():
    assert [row for row in REAL.compare() if not row[3]] == []


@needs_real
@QUIET
def test_the_real_file_as_pandas_reads_it():
    """Every number of every column, by another road."""
    import pandas as pd

    table = pd.read_csv(REAL.path, sep="\t", skiprows=4, header=None).iloc[:-1, :-1].to_numpy(float)
    with REAL.path.open() as handle:
        labels = handle.read().splitlines()[1].split("\t")
    seen = {0, 1, 2, 3, 4}
    for dataset in ("counts", "sums", "derived"):
        cube = io.read(REAL.path, dataset=dataset)
        places = [labels.index(label) for label in cube.label.values]
        expected = table[:, places]
        assert np.array_equal(cube.values, np.where(np.isinf(expected), np.nan, expected), equal_nan=True)
        for place, name in enumerate(("data_point", "sputter_time", "dose", "fluence", "total")):
            assert np.array_equal(cube[name].values, table[:, place])
        seen |= set(places)
    assert seen == set(range(136))  # nothing is left out, and nothing is in two data sets


@needs_real
@QUIET
def test_the_real_file_is_corrected_for_dead_time_of_16384_pulses():
    """Most small values are −N ln(1 − n/N) to every digit written, with N = 128 × 128 and no other power of two."""
    values = io.read(REAL.path).values
    small = values[(values > 4.5) & (values < 50)]

    def share(pulses):
        whole = np.round(pulses * -np.expm1(-small / pulses))
        again = np.array([float(f"{v:g}") for v in files["corrected"](whole, pulses)])
        return (again == small).mean()

    shares = {p: share(2**p) for p in range(11, 19)}
    assert max(shares, key=shares.get) == 14
    assert shares[14] > 0.5
    assert sum(v for p, v in shares.items() if p != 14) < 0.1


@needs_real
def test_the_real_file_damaged(tmp_path):
    example = fuzzing["Example"]("real", "iontof_profile", lambda folder: Path(shutil.copy(REAL.path, folder / "real.txt")))
    tally = fuzzing["fuzz"](example, tmp_path, n_flips=15, n_cuts=15)
    assert not tally.faults
    assert tally.outcomes["refused"] > 5
