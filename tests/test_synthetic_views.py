"""SAM and Raman views of the section: the planted transformation, the planted counts, bands and spikes."""

from __future__ import annotations

import numpy as np
import pytest

from ssbmaps import SsbmapsError, synthetic
from ssbmaps._bands import AUGER_LINES, RAMAN_BANDS


@pytest.fixture(scope="module")
def disc():
    return synthetic.cross_section(shape=(110, 130), n_scans=1, geometry="disc", layout=synthetic.Layout(disc_radius=2.5))


def centroid(map_, dim):
    return float((map_ * map_[dim]).sum() / map_.sum())


@pytest.mark.parametrize("options", [{}, {"rotation": -25.0, "scale": 0.93, "shift": (-0.6, 0.9), "pixel_size": 0.11}])
def test_sam_transform_takes_the_disc_to_its_place(disc, options):
    sam = synthetic.sam_maps(disc, seed=1, **options)
    net = (sam.expected_peak - sam.expected_background).sel(line="Ni LMM")
    matrix = sam.attrs["transform"].reshape(3, 3)
    shell = net.min()  # nickel in the electrolyte is 0; the disc lies inside the view
    assert float(shell) < 0.5
    found = matrix @ [centroid(net, "y"), centroid(net, "x"), 1.0]
    np.testing.assert_allclose(found, [5.5, 6.5, 1.0], atol=2e-3)
    # its area, seen through the scale: net counts are 400 in the NMC and 10 in a shell of 0.2 um
    area = float(net.sum()) * float(sam.y[1] - sam.y[0]) ** 2 * np.linalg.det(matrix[:2, :2])
    planted = 400 * np.pi * 2.5**2 + 10 * np.pi * (2.7**2 - 2.5**2)
    assert area == pytest.approx(planted, rel=1e-3)


def test_sam_counts_are_poisson_about_peak_and_background(disc):
    sam = synthetic.sam_maps(disc, seed=3)
    for name in ("peak", "background"):
        counts, mean = sam[name], sam[f"expected_{name}"]
        assert counts.dims == ("line", "y", "x")
        assert counts.dtype == np.uint32
        assert float(((counts - mean) ** 2 / mean).mean()) == pytest.approx(1, abs=0.01)  # 100 000 counts of variance 2
    assert (sam.expected_peak >= sam.expected_background).all()
    assert sam.attrs["technique"] == "sam"
    assert "polarity" not in sam.attrs
    assert float(sam.kinetic_energy.sel(line="Ni LMM")) == AUGER_LINES["Ni LMM"].kinetic_energy
    assert (sam.background_energy > sam.kinetic_energy).all()
    again = synthetic.sam_maps(disc, seed=3, lines=["Ni LMM"])
    np.testing.assert_allclose(again.expected_peak[0], sam.expected_peak.sel(line="Ni LMM"), rtol=1e-12)


def test_sam_is_sharper_than_tof_sims():
    flat = synthetic.cross_section(shape=(64, 64), n_scans=1, geometry="planar", thickness=0, layout=synthetic.Layout(angle=0.0))
    sam = synthetic.sam_maps(flat, rotation=0, scale=1, shift=(0, 0), pixel_size=0.1, shape=(30, 30), lines=["Ni LMM"])
    net = (sam.expected_peak - sam.expected_background)[0].mean("x")
    nickel = flat.ideal.sel(fragment="NiO2-").mean("x")
    steepest = [float(-np.diff(m / m.max()).min()) for m in (net, nickel)]
    assert steepest[0] > 1.5 * steepest[1]


def test_raman_spectra_are_abundance_times_reference_with_spikes(disc):
    raman = synthetic.raman_map(disc, seed=2, spikes=0.2)
    assert raman.spectra.dims == ("y", "x", "raman_shift")
    np.testing.assert_allclose(raman.reference.sum("raman_shift"), 1)
    mean = (raman.abundance * raman.reference).sum("component").transpose("y", "x", "raman_shift")
    clean = raman.spikes == 0
    chi2 = ((raman.spectra - mean) ** 2 / mean).where(clean).mean()
    assert float(chi2) == pytest.approx(1, abs=0.01)  # 370 000 channels, 0.25 % at one sigma
    hit = ~clean
    n = int((hit & ~hit.shift(raman_shift=1, fill_value=False)).sum())
    n_spectra = raman.sizes["y"] * raman.sizes["x"]
    assert abs(n - 0.2 * n_spectra) < 5 * np.sqrt(0.2 * n_spectra)
    assert float(raman.spikes.max()) > 1000
    assert int(hit.sum("raman_shift").max()) <= 12
    assert float(synthetic.raman_map(disc, spikes=0).spikes.max()) == 0


def test_raman_phases_lie_where_they_were_planted(disc):
    raman = synthetic.raman_map(disc, pixel_size=0.5)
    radius = np.hypot(raman.y - 5.5, raman.x - 6.5)
    share = raman.abundance / raman.abundance.max(("y", "x"))
    assert float(share.sel(component="NMC").where(radius < 1).min()) > 0.9
    assert float(share.sel(component="PS4^3-").where(radius > 4).min()) > 0.99
    assert float(share.sel(component="PS4^3-").where(radius < 1).max()) < 0.01
    fluorescence = raman.abundance.sel(component="fluorescence")
    outside = fluorescence.where(radius > 4)
    assert float(outside.std() / outside.mean()) > 0.1  # the glow varies over the map


def test_some_particles_carry_co3o4_in_their_rim():
    section = synthetic.cross_section(seed=1, shape=(200, 220), n_scans=1)
    raman = synthetic.raman_map(section, pixel_size=0.2, spot_fwhm=0.2, raman_shift=(150.0, 750.0, 50.0))
    oxide = raman.abundance.sel(component="Co3O4")
    distance = section.distance.sel(y=oxide.y, x=oxide.x, method="nearest")
    where = distance.values[oxide.values > 0.5 * float(oxide.max())]
    assert where.size > 50
    assert where.max() < 0.2
    assert where.min() > -0.6  # the rim is 0.4 um deep


@pytest.mark.parametrize("phase", list(RAMAN_BANDS))
def test_bands_stand_at_the_cited_positions(disc, phase):
    raman = synthetic.raman_map(disc, raman_shift=(150.0, 1750.0, 0.5))
    reference = raman.reference.sel(component=phase).values
    axis = raman.raman_shift.values
    peaks = axis[1:-1][(reference[1:-1] > reference[:-2]) & (reference[1:-1] > reference[2:])]
    for band in RAMAN_BANDS[phase]:
        # overlapping neighbours pull a maximum by a few percent of the width
        assert np.abs(peaks - band.raman_shift).min() < 0.06 * band.width


def test_raman_transform_is_the_identity_by_default(disc):
    raman = synthetic.raman_map(disc, pixel_size=0.5)
    matrix = raman.attrs["transform"].reshape(3, 3)
    np.testing.assert_allclose(matrix[:2, :2], np.eye(2))
    np.testing.assert_allclose(matrix[:2, 2], 0, atol=0.25)  # half a pixel of what does not divide evenly
    nickel = raman.abundance.sel(component="NMC")
    found = matrix @ [centroid(nickel, "y"), centroid(nickel, "x"), 1.0]
    np.testing.assert_allclose(found[:2], [5.5, 6.5], atol=5e-3)


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("sam_maps", {"lines": ["Xe MNN"]}, "lines Xe MNN are unknown; known are"),
        ("sam_maps", {"lines": []}, "no line is named"),
        ("sam_maps", {"shift": (9.0, 0.0)}, "beyond the section's map"),
        ("sam_maps", {"scale": 0.0}, "scale is 0.0"),
        ("raman_map", {"raman_shift": (900.0, 200.0, 1.0)}, "positive step"),
        ("raman_map", {"spikes": -1.0}, "spikes is -1.0"),
        ("raman_map", {"pixel_size": 0.0}, "pixel_size is 0.0"),
    ],
)
def test_bad_arguments_get_a_letter(disc, function, options, message):
    with pytest.raises(SsbmapsError, match=message):
        getattr(synthetic, function)(disc, **options)


def test_sam_levels_of_layers_that_only_the_caller_knows():
    layout = synthetic.Layout(layers=(("LCO", 2.0), ("Li", 2.0)), angle=0)
    section = synthetic.cross_section(
        shape=(48, 40), n_scans=1, geometry="planar", thickness=0, layout=layout, levels={"LCO": {}, "Li": {}}
    )
    view = {"rotation": 0, "scale": 1, "shift": (0, 0), "lines": ("Li KLL", "O KLL")}
    sam = synthetic.sam_maps(section, levels={"LCO": {"O KLL": 500.0}, "Li": {"Li KLL": 600.0}}, **view)
    signal = sam.expected_peak - sam.expected_background
    np.testing.assert_allclose(signal.isel(y=2).mean("x"), [0, 500], atol=1e-4)
    np.testing.assert_allclose(signal.isel(y=-3).mean("x"), [600, 0], atol=1e-4)
    with pytest.raises(SsbmapsError, match=r"(?s)2 faults.*unknown phases Na.*expected 0 counts or more by line"):
        synthetic.sam_maps(section, levels={"Na": {"Li KLL": -1.0}}, **view)


def test_every_variable_says_of_which_technique_it_is():
    section = synthetic.cross_section(shape=(48, 64), n_scans=1, geometry="disc")
    for made, technique in ((synthetic.sam_maps(section, lines=("S LVV",)), "sam"), (synthetic.raman_map(section), "raman")):
        assert made.attrs["technique"] == technique
        for name in made.data_vars:
            assert made[name].attrs["technique"] == technique
            assert "polarity" not in made[name].attrs
