"""imzML that cannot be read as it stands: every letter names file, spectrum, pixel and bytes; nothing is guessed."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

import ssbmaps
from ssbmaps import io
from ssbmaps._arrays import to_dense

files = runpy.run_path(str(Path(__file__).with_name("io_files.py")), run_name="io_files")
Spectrum, cv, write = files["Spectrum"], files["cv"], files["write_imzml"]
PLANTED, planted_spectra = files["PLANTED"], files["planted_spectra"]

# Each spoils spectrum 2, pixel x=2, y=1: m/z at bytes 40 to 56, intensities at bytes 56 to 64 of 160.
SPOILED_SPECTRUM = {
    "m/z beyond the file": (
        {"mzoffset": 300},
        r"its m/z array should fill bytes 300 to 316, beyond the end of small.ibd \(160 bytes",
    ),
    "values beyond the file": ({"offset": 204}, r"its intensity array should fill bytes 204 to 212, beyond the end"),
    "absurd length": ({"mzlength": 10**18, "length": 10**18, "mzencoded": 8 * 10**18, "encoded": 4 * 10**18}, "beyond the end"),
    "zero length": ({"mzlength": 0, "length": 0, "mzencoded": 0, "encoded": 0}, r"its arrays are empty \(bytes 40 to 40\)"),
    "unequal": ({"length": 1, "encoded": 4}, r"2 m/z values \(bytes 40 to 56\) but 1 intensities \(bytes 56 to 60\)"),
    "wrong byte count": ({"mzencoded": 17}, "states 17 bytes from byte 40, but 2 values of 64 bits need 16"),
    "offset inside the UUID": ({"offset": 8}, "should start at byte 8, inside the UUID"),
    "negative offset": ({"mzoffset": -5}, "states no usable external offset"),
    "offset no number": ({"offset": "many"}, "states no usable external offset"),
}
SPOILED_VALUES = {
    "unsorted": (
        {"mz": [78.9591, 24.0005]},
        r"m/z array is not ascending: 78.9591 is followed by 24.0005 at place 2 \(bytes 40 to 56",
    ),
    "duplicated": ({"mz": [24.0005, 24.0005]}, "m/z array holds m/z twice: 24.0005 is followed by 24.0005"),
    "m/z NaN": ({"mz": [24.0005, np.nan]}, "m/z array holds NaN, infinity or 0 and less"),
    "m/z inf": ({"mz": [np.inf, np.inf]}, "m/z array holds NaN, infinity or 0 and less"),
    "m/z zero": ({"mz": [0.0, 24.0005]}, "m/z array holds NaN, infinity or 0 and less"),
    "intensity NaN": ({"values": [np.nan, 5]}, r"intensity array holds NaN or infinity \(bytes 56 to 64\)"),
    "intensity inf": ({"values": [2, np.inf]}, r"intensity array holds NaN or infinity \(bytes 56 to 64\)"),
}


def spoiled(kind):
    spectra = planted_spectra()
    if kind in SPOILED_SPECTRUM:
        spectra[1].state = SPOILED_SPECTRUM[kind][0]
        return spectra, SPOILED_SPECTRUM[kind][1]
    for name, values in SPOILED_VALUES[kind][0].items():
        setattr(spectra[1], name, np.array(values))
    return spectra, SPOILED_VALUES[kind][1]


@pytest.mark.parametrize("kind", [*SPOILED_SPECTRUM, *SPOILED_VALUES])
def test_a_bad_spectrum_is_named_or_skipped(tmp_path, kind):
    spectra, message = spoiled(kind)
    path = write(tmp_path, spectra)
    named = r"small\.imzML: 1 of 6 spectra cannot be read\. skip_bad=True (.|\n)*spectrum 2 \(id 'Scan=2', pixel x=2, y=1\): "
    letter = rf"{named}.*{message}"
    with pytest.raises(ssbmaps.FormatError, match=letter):
        io.read(path)
    with pytest.warns(ssbmaps.DataQualityWarning, match=rf"1 of 6 spectra skipped(.|\n)*{message}") as caught:
        cube = io.read(path, skip_bad=True)
    assert caught[0].filename == __file__
    expected = PLANTED.copy()
    expected[0, 1] = 0
    dense = np.zeros_like(PLANTED)
    dense[:, :, np.searchsorted(files["MZ"], cube.mz.values)] = to_dense(cube.data)
    assert np.array_equal(dense, expected)
    assert cube.measured.values.tolist() == [[True, False, True], [True] * 3]
    assert '"skip_bad": true' in cube.attrs["history"]


def test_truncated_ibd_names_the_spectra_that_lost_bytes(tmp_path):
    path = write(tmp_path, planted_spectra(), edit_ibd=lambda b: b[:-40])
    with pytest.raises(
        ssbmaps.FormatError, match=r"2 of 6 spectra cannot be read(.|\n)*spectrum 6 .*\(120 bytes(.|\n)*spectrum 5"
    ):
        io.read(path)
    path = write(tmp_path, planted_spectra(), edit_ibd=lambda b: b[:16])
    with pytest.raises(ssbmaps.FormatError, match=r"6 of 6 .* None is left to read(.|\n)*and 1 more spectra like the last one"):
        io.read(path, skip_bad=True)
    path = write(tmp_path, planted_spectra(), edit_ibd=lambda b: b[:5])
    with pytest.raises(ssbmaps.FormatError, match=r"small\.ibd: holds 5 bytes; an \.ibd starts with a UUID of 16"):
        io.read(path)


def test_a_shared_mass_axis_that_is_bad_spoils_all(tmp_path):
    spectra = [Spectrum(x, 1, [30.0, 20.0], [1, 2]) for x in (1, 2)]
    path = write(tmp_path, spectra, mode="continuous")
    with pytest.raises(ssbmaps.FormatError, match=r"2 of 2 (.|\n)*shares the m/z array of another spectrum: .*not ascending"):
        io.read(path)


def test_zlib_streams_that_do_not_inflate(tmp_path):
    path = write(tmp_path, planted_spectra(), compressed=True, edit_ibd=lambda b: b[:18] + b"\xff" * 4 + b[22:])
    with pytest.raises(ssbmaps.FormatError, match=r"spectrum 1 .*: its m/z array does not inflate \(bytes 16 to"):
        io.read(path)
    spectra = planted_spectra()
    spectra[0].state = {"mzlength": 10**9, "length": 10**9}
    with pytest.raises(ssbmaps.FormatError, match=r"spectrum 1 .*cannot inflate from \d+ bytes to 1000000000 values"):
        io.read(write(tmp_path, spectra, compressed=True))


def test_identity_warnings(tmp_path):
    path = write(tmp_path, planted_spectra(), edit_ibd=lambda b: b"\0" * 16 + b[16:])
    with pytest.warns(ssbmaps.DataQualityWarning, match=r"UUID mismatch: the header says \{9D501BDC.*\}, small\.ibd says 0000"):
        io.read(path)
    path = write(tmp_path, planted_spectra(), edit=lambda t: t.replace("IMS:1000080", "IMS:0"))
    with pytest.warns(ssbmaps.DataQualityWarning, match="the header states no UUID"):
        io.read(path)
    path = write(tmp_path, planted_spectra())
    raw = bytearray((tmp_path / "small.ibd").read_bytes())
    raw[56] ^= 1  # one bit of one count
    (tmp_path / "small.ibd").write_bytes(raw)
    with pytest.warns(ssbmaps.DataQualityWarning, match="SHA1 mismatch: the header says "):
        io.read(path)
    path = write(tmp_path, planted_spectra(), content=cv("IMS:1000090", "0" * 32))
    with pytest.warns(ssbmaps.DataQualityWarning, match=r"MD5 mismatch: the header says 0+ \(a placeholder\)"):
        io.read(path)


POSITIONS = {
    "NaN": ({"x": "NaN"}, r"spectrum 2 \(id 'Scan=2', no pixel\) has no usable position x \('NaN'\)"),
    "text": ({"y": "second"}, r"has no usable position y \('second'\)"),
    "absent": ({"x": None}, r"has no usable position x \('absent'\)"),
    "z text": ({"z": "deep"}, r"has no usable position z \('deep'\)"),
    "z in one only": ({"z": 2}, r"spectrum 1 .* has no usable position z \('absent'\)"),
    "z fraction": ({"z": 1.5}, r"has position z 1\.5, no whole number"),
    "fraction": ({"x": 1.5}, r"has position x 1\.5, no whole number"),
    "negative": ({"y": -1}, "has position y -1, below 1"),
    "beyond": ({"x": 9}, "has position x 9, beyond max count of pixels x = 3"),
    "duplicate": ({"x": 1}, r"pixel x=1, y=1 holds 2 spectra \(1, 2\)"),
    "zero": ({"x": 0}, "position x is 0 in 1 spectra and runs from 0 to 3; imzML counts pixels from 1"),
}
COUNTS = cv("IMS:1000042", 3) + cv("IMS:1000043", 2) + cv("IMS:1000046", "1")


@pytest.mark.parametrize("kind", POSITIONS)
def test_bad_coordinates_are_named_even_with_skip_bad(tmp_path, kind):
    change, message = POSITIONS[kind]
    spectra = planted_spectra()
    for name, value in change.items():
        setattr(spectra[1], name, value)
    path = write(tmp_path, spectra, settings=COUNTS)
    with pytest.raises(ssbmaps.FormatError, match=message):
        io.read(path, skip_bad=True)
    told = io.info(path)
    assert any("position" in w or "pixel" in w for w in told["warnings"])
    assert (told["shape"], told["pixel_size"]) == ((None, None, None), None)


def test_all_faults_of_the_coordinates_come_in_one_letter(tmp_path):
    spectra = planted_spectra()
    for spectrum in spectra:
        spectrum.x -= 1
    spectra[5].y = -3
    spectra[4].y = spectra[3].y = 1
    with pytest.raises(ssbmaps.FormatError) as caught:
        io.read(write(tmp_path, spectra, settings=COUNTS))
    for part in (
        "position x is 0 in 2 spectra and runs from 0 to 2",
        "position y -3, below 1",
        "x=0, y=1 holds 2",
        "x=1, y=1 holds 2",
    ):
        assert part in str(caught.value)


HEADERS = {
    "document type": (
        lambda t: t.replace("<mzML", '<!DOCTYPE mzML [<!ENTITY a "aaaa">]><mzML', 1),
        "declares a document type or an entity",
    ),
    "cut short": (lambda t: t[:-60], r"is not complete XML: .* in line \d+, column \d+"),
    "encoding": (lambda t: t.replace('encoding="utf-8"', 'encoding="klingon"'), "unknown encoding|encoding cannot be read"),
    "no spectrum": (lambda t: t[: t.index("<spectrum id")] + "</spectrumList></run></mzML>", "holds no spectrum"),
    "both polarities": (
        lambda t: t.replace("</scan>", f"{cv('MS:1000130')}</scan>", 1),
        "holds spectra of positive and of negative polarity",
    ),
    "no type": (lambda t: t.replace("MS:1000523", "MS:0"), "type of the m/z arrays is stated as none of the known ones"),
    "two types": (
        lambda t: t.replace(cv("MS:1000521"), cv("MS:1000521") + cv("MS:1000523"), 1),
        "intensity arrays is stated as <f4 and <f8",
    ),
    "numpress": (lambda t: t.replace("MS:1000576", "MS:1002312", 1), "the m/z arrays are compressed by numpress"),
    "no intensity array": (
        lambda t: t.replace('<referenceableParamGroupRef ref="ints"/>', "", 1),
        r"spectrum 1 \(id 'Scan=1', pixel x=1, y=1\) has 0 intensity arrays; expected one",
    ),
    "undefined group": (lambda t: t.replace('id="ints"', 'id="other"'), "has 0 intensity arrays"),
    "two settings": (
        lambda t: t.replace(
            "</scanSettingsList>", f'<scanSettings id="two">{cv("IMS:1000042", 4)}</scanSettings></scanSettingsList>'
        ),
        "contradict each other on max count of pixels x: '3' in 'one' and '4' in 'two'",
    ),
    "two pixel sizes": (
        lambda t: t.replace(
            "</scanSettingsList>", f'<scanSettings id="two">{cv("IMS:1000046", 7)}</scanSettings></scanSettingsList>'
        ),
        r"pixel size x is stated as 0\.5 um in 'one' and 7 \(no unit\) in 'two'",
    ),
    "count no number": (
        lambda t: t.replace(cv("IMS:1000042", 3), cv("IMS:1000042", "three")),
        "max count of pixels x is 'three' in 'one'",
    ),
    "raster for giants": (
        lambda t: t.replace(cv("IMS:1000042", 3), cv("IMS:1000042", 10**6)).replace(
            cv("IMS:1000043", 2), cv("IMS:1000043", 10**6)
        ),
        "announces 1000000 x 1000000 pixels for 6 spectra",
    ),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_that_contradict_themselves(tmp_path, kind):
    edit, message = HEADERS[kind]
    with pytest.raises(ssbmaps.FormatError, match=rf"small\.imzML: (.|\n)*{message}"):
        io.read(write(tmp_path, planted_spectra(), edit=edit))


def test_two_equal_settings_are_no_contradiction(tmp_path):
    def twice(text):
        start, stop = text.index("<scanSettings id"), text.index("</scanSettings>") + len("</scanSettings>")
        return text[:stop] + text[start:stop].replace('id="one"', 'id="two"') + text[stop:]

    cube = io.read(write(tmp_path, planted_spectra(), edit=twice))
    assert np.array_equal(to_dense(cube.data), PLANTED)


def test_a_wrong_spectrum_count_warns(tmp_path):
    path = write(tmp_path, planted_spectra(), edit=lambda t: t.replace('<spectrumList count="6"', '<spectrumList count="9"'))
    with pytest.warns(ssbmaps.DataQualityWarning, match="the header announces 9 spectra, the file holds 6"):
        io.read(path)


def test_missing_halves_and_files_that_are_none(tmp_path):
    path = write(tmp_path, planted_spectra())
    with pytest.raises(ssbmaps.FormatError, match=r"small\.ibd: is the binary half of an imzML pair\. Give small\.imzML"):
        io.read(tmp_path / "small.ibd")
    (tmp_path / "small.ibd").rename(tmp_path / "other.ibd")
    with pytest.raises(ssbmaps.FormatError, match=r"small\.imzML: its binary half small\.ibd is missing"):
        io.read(path)
    with pytest.raises(ssbmaps.FormatError, match=r"other\.ibd: .* Its \.imzML header is missing"):
        io.read(tmp_path / "other.ibd")
    with pytest.raises(ssbmaps.FormatError, match=r"absent\.imzML: no such file"):
        io.read(tmp_path / "absent.imzML")
    with pytest.raises(ssbmaps.FormatError, match="is a folder"):
        io.read(tmp_path)
    (tmp_path / "empty.imzML").touch()
    with pytest.raises(ssbmaps.FormatError, match=r"empty\.imzML: is empty \(0 bytes\)"):
        io.info(tmp_path / "empty.imzML")
    (tmp_path / "letter.imzML").write_text("Dear colleague")
    with pytest.raises(
        ssbmaps.FormatError, match=r"no reader recognises the content \(it begins b'Dear colleag'\)\. Known are imzML"
    ):
        io.read(tmp_path / "letter.imzML")
    (tmp_path / "other.ibd").rename(tmp_path / "letter.ibd")
    with pytest.raises(ssbmaps.FormatError, match="is not complete XML"):
        io.read(tmp_path / "letter.imzML", reader="imzml")


OPTIONS = {
    "unknown": ({"mz_bins": 1, "range": 2}, r"unknown option 'mz_bins', 'range'; imzML knows mz_range, mz_bin, empty_spectra"),
    "reader": ({"reader": "itax"}, "reader is 'itax'; expected 'imzml', 'simsh5'"),
    "dataset": ({"dataset": "one"}, "dataset is 'one'; an imzML file holds one data set"),
    "empty": ({"empty_spectra": "maybe"}, "empty_spectra is 'maybe'; expected 'error' or 'zero'"),
    "range": ({"mz_range": (5, 2)}, r"mz_range is \(5, 2\); expected \(low, high\)"),
    "range of one": ({"mz_range": 5}, "mz_range is 5"),
    "bin": ({"mz_bin": 0}, "mz_bin is 0; expected a bin width above 0"),
    "bin text": ({"mz_bin": "wide"}, "mz_bin is 'wide'"),
    "bin in time": ({"mz_bin": "128 ps"}, "mz_bin is '128 ps'; expected a bin width above 0, e.g. 0.01, '50 ppm'"),
    "bins without end": ({"mz_bin": 1e-9}, r"mz_bin gives 5\.\d*e\+10 bins"),
    "ppm from zero": ({"mz_bin": "5 ppm", "mz_range": (0, 9)}, "bins in ppm cannot start at m/z 0"),
    "pixel": ({"pixel_size": 0}, "pixel_size is 0; expected um per pixel above 0"),
    "pixel triple": ({"pixel_size": (1, 2, 3)}, r"pixel_size is \(1, 2, 3\)"),
    "tilt": ({"tilt": 0}, "tilt is 0; expected the angle between the analysis beam and the plane"),
    "chunks": ({"chunks": {"mz": 3}}, r"chunks is \{'mz': 3\}; expected rows of y in a block, or a mapping of y, x"),
    "chunks zero": ({"chunks": 0}, "chunks is 0"),
}


@pytest.mark.parametrize("kind", OPTIONS)
def test_options_that_make_no_sense(tmp_path, kind):
    options, message = OPTIONS[kind]
    with pytest.raises(ssbmaps.SsbmapsError, match=message):
        io.read(write(tmp_path, planted_spectra()), **options)
