"""Pixel size, extent, units and tilt: taken as stated, refused where they contradict, never guessed."""

from __future__ import annotations

import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest

import ssbmaps
from ssbmaps import io

files = runpy.run_path(str(Path(__file__).with_name("io_files.py")), run_name="io_files")
cv, write, planted_spectra, UM = files["cv"], files["write_imzml"], files["planted_spectra"], files["UM"]

COUNTS = cv("IMS:1000042", 3) + cv("IMS:1000043", 2)


def unit(accession, name="misspelt"):
    return f'unitCvRef="UO" unitAccession="{accession}" unitName="{name}"'


def size(path, **options):
    """(y, x) of the first pixel centre, doubled: the pixel size."""
    cube = io.read(path, **options)
    return 2 * cube.y.values[0], 2 * cube.x.values[0]


@pytest.mark.parametrize(
    ("number", "more", "um"),
    [
        ("4406.25", unit("UO:0000018"), 4.40625),
        ("2.5e-3", unit("UO:0000016"), 2.5),
        ("0.5", unit("UO:0000017", "nanometer"), 0.5),
        ("0.00002", unit("UO:0000015"), 0.2),
        ("0.000001", unit("UO:0000008"), 1.0),
        ("350", 'unitName="nanometer"', 0.35),
        (" 7 ", "", 7.0),
    ],
)
def test_sizes_in_their_own_unit_um_if_none(tmp_path, number, more, um):
    path = write(tmp_path, planted_spectra(), settings=COUNTS + cv("IMS:1000046", number, more))
    assert size(path) == pytest.approx((um, um), rel=1e-15)
    assert io.info(path)["pixel_size"] == pytest.approx((um, um), rel=1e-15)


def test_one_size_holds_for_both_axes_also_where_y_once_meant_the_image_shape(tmp_path):
    settings = COUNTS + cv("IMS:1000046", "3") + cv("IMS:1000047", "rectangular")
    assert size(write(tmp_path, planted_spectra(), settings=settings)) == (3.0, 3.0)
    settings = COUNTS + cv("IMS:1000046", "3") + cv("IMS:1000047", "2")
    assert size(write(tmp_path, planted_spectra(), settings=settings)) == (2.0, 3.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("", r"no pixel size \(y and x\) is stated"),
        (cv("IMS:1000047", 2), "no pixel size x is stated"),
        (cv("IMS:1000046", 0), r"is stated as 0 \(no unit\), which is no length above 0"),
        (cv("IMS:1000046", "nan"), r"is stated as nan \(no unit\)"),
        (cv("IMS:1000046", "-2"), r"is stated as -2 \(no unit\)"),
        (cv("IMS:1000046", "2", unit("UO:0000010")), "is stated as 2 UO:0000010, which is no length"),
        (
            cv("IMS:1000046", "2000", unit("UO:0000018")) + cv("IMS:1000044", "9", UM),
            r"pixel size x 2 um contradicts the extent x 9 um: 3 pixels would span 6 um \(or 4 um between the first and last",
        ),
        (
            cv("IMS:1000046", "2") + cv("IMS:1000044", "7") + cv("IMS:1000045", "9"),
            r"size y 2 \(no unit\) contradicts the extent y 9 \(no unit\): 2 .*; pixel size x 2 .* extent x 7",
        ),
    ],
)
def test_what_is_refused_names_both_values_and_is_overridden_by_the_caller(tmp_path, settings, message):
    path = write(tmp_path, planted_spectra(), settings=COUNTS + settings)
    with pytest.raises(ssbmaps.FormatError, match=rf"small\.imzML: .*{message}.* never guesses a pixel size"):
        io.read(path)
    assert size(path, pixel_size=(0.2, 0.3)) == pytest.approx((0.2, 0.3), rel=1e-15)
    assert io.info(path)["pixel_size"] is None


@pytest.mark.parametrize("extent", ["6", "4", "6.05", "3.97"])
def test_extents_of_n_or_n_minus_one_pixels_to_one_per_cent_agree(tmp_path, extent):
    settings = COUNTS + cv("IMS:1000046", "2") + cv("IMS:1000044", extent)
    assert size(write(tmp_path, planted_spectra(), settings=settings)) == (2.0, 2.0)


@pytest.mark.parametrize("extent", ["6.1", "5", "3.9"])
def test_extents_further_off_contradict(tmp_path, extent):
    settings = COUNTS + cv("IMS:1000046", "2") + cv("IMS:1000044", extent)
    with pytest.raises(ssbmaps.FormatError, match="contradicts"):
        io.read(write(tmp_path, planted_spectra(), settings=settings))


@pytest.mark.parametrize(("tilt", "factor"), [(52, 1.27), (54, 1.24), (45, 1.41), (90, 1.0)])
def test_tilt_stretches_y_once_and_is_recorded(tmp_path, tilt, factor):
    path = write(tmp_path, planted_spectra())
    cube = io.read(path, tilt=tilt)
    assert 2 * cube.y.values[0] == pytest.approx(0.25 * factor, abs=0.25 * 0.005)  # the contract gives two decimals
    assert np.diff(cube.y.values) == pytest.approx(2 * cube.y.values[0])
    assert 2 * cube.x.values[0] == 0.5
    assert cube.attrs["tilt"] == tilt
    assert f'"tilt": {float(tilt)}' in cube.attrs["history"]
    assert size(path, tilt=tilt, pixel_size=(2, 3)) == pytest.approx((2 * factor, 3), rel=0.005)


def test_tilt_and_preparation_stated_in_the_file(tmp_path):
    said = '<sampleList><sample id="a"><userParam name="Preparation" value="cryo-FIB, Ga 30 keV"/>{}</sample></sampleList>'
    path = write(tmp_path, planted_spectra(), extra=said.format('<userParam name="tilt" value="52"/>'))
    cube = io.read(path)
    assert cube.attrs["tilt"] == 52.0
    assert cube.attrs["preparation"] == "cryo-FIB, Ga 30 keV"
    assert size(path) == pytest.approx((0.25 / np.sin(np.radians(52)), 0.5))
    assert size(path, tilt=90) == (0.25, 0.5)
    path = write(tmp_path, planted_spectra(), extra=said.format(""))
    with pytest.warns(ssbmaps.DataQualityWarning, match=r"preparation is 'cryo-FIB.* foreshortened 1\.27 times") as caught:
        cube = io.read(path)
    assert caught[0].filename == __file__
    assert "tilt" not in cube.attrs
    path = write(tmp_path, planted_spectra(), extra=said.format('<userParam name="tilt" value="steep"/>'))
    with pytest.raises(ssbmaps.FormatError, match="userParam 'tilt' is 'steep'"):
        io.read(path)


@pytest.mark.parametrize("preparation", ["BIB, Ar 6 keV", "cryo-microtomy", "fibre composite"])
def test_other_preparations_do_not_warn(tmp_path, preparation):
    said = f'<sampleList><sample id="a"><userParam name="preparation" value="{preparation}"/></sample></sampleList>'
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert io.read(write(tmp_path, planted_spectra(), extra=said)).attrs["preparation"] == preparation


def test_dose_and_energy_travel_where_the_file_states_them(tmp_path):
    terms = cv("IMS:1001202", "30000", 'unitAccession="UO:0000266" unitName="eV"') + cv("IMS:1001207", "1.2e12")
    cube = io.read(write(tmp_path, planted_spectra(), extra=f"<sourceList><source>{terms}</source></sourceList>"))
    assert cube.attrs["beam_energy"] == "30000 eV"
    assert cube.attrs["primary_ion_fluence"] == "1.2e12"


def test_the_place_on_the_stage_is_kept_in_um(tmp_path):
    offsets = cv("IMS:1000053", "2", unit("UO:0000016")) + cv("IMS:1000054", "0", UM)
    cube = io.read(write(tmp_path, planted_spectra(), settings=COUNTS + cv("IMS:1000046", 1) + offsets))
    assert (cube.attrs["stage_x"], cube.attrs["stage_y"]) == (2000.0, 0.0)
    assert cube.x.values[0] == 0.5


def test_the_ion_source_decides_what_the_technique_is_called(tmp_path):
    source = "<sourceList><source>{}</source></sourceList>"
    maldi = io.read(write(tmp_path, planted_spectra(), extra=source.format(cv("MS:1000075"))))
    assert maldi.attrs["technique"] == "imaging-ms"
    both = io.read(write(tmp_path, planted_spectra(), extra=source.format(cv("MS:1000075") + cv("MS:1000402"))))
    assert both.attrs["technique"] == "tof-sims"
