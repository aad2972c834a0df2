"""The sample: areas against Steiner's formula, distances against brute force, profiles against a 1-D convolution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label
from scipy.special import ndtr

from ssbmaps import SsbmapsError, synthetic
from ssbmaps.synthetic._outlines import Outlines, perimeter, random_waves, strand, wavy
from ssbmaps.synthetic._recipe import recipe_of
from ssbmaps.synthetic._scene import build_scene, random_cuts

PLAIN = synthetic.Instrument(dead_time=0, gain=0, drift=0, drift_walk=0, transient={}, leak=())
SHELL = ["PO2-", "PO3-"]
FINE = 2.5e-4  # um, step of the 1-D second road


def bare(**options):
    """Particles only: no cracks, fibres, voids; far enough apart that 0.2 um shells stay separate."""
    return synthetic.Layout(**{"cracked": 0.0, "fibres": 0.0, "voids": 0.0, "touching": 0.0, "gap": 0.9, "fill": 0.3, **options})


def isolated(section):
    """(component mask, particle) for each particle with its shell wholly in view."""
    shares = section.coverage.sel(phase=["NMC", "POx"]).sum("phase").values
    parts, n = label(shares > 0)
    border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    pixel = section.attrs["pixel_size"]
    for particle in range(section.sizes["particle"]):
        y, x = float(section.particle_y[particle]), float(section.particle_x[particle])
        row, column = int(y / pixel), int(x / pixel)
        if 0 <= row < parts.shape[0] and 0 <= column < parts.shape[1] and parts[row, column] not in (0, *border):
            yield parts == parts[row, column], particle
    assert n > 0


@pytest.mark.parametrize(("geometry", "thickness"), [("particles", 0.2), ("particles", 0.05), ("disc", 0.2), ("disc", 0.013)])
def test_shell_area_is_steiners_within_half_a_percent(geometry, thickness):
    layout = bare(radius=(1.0, 2.0)) if geometry == "particles" else None
    section = synthetic.cross_section(seed=3, shape=(150, 190), n_scans=1, geometry=geometry, thickness=thickness, layout=layout)
    area = section.coverage * section.attrs["pixel_size"] ** 2
    found = 0
    for mask, particle in isolated(section):
        p = float(section.particle_perimeter[particle])
        for shell, d in (("POx", thickness), ("SOx", 0.4 * thickness)):
            assert float(area.sel(phase=shell).values[mask].sum()) == pytest.approx(p * d + np.pi * d**2, rel=5e-3)
        found += 1
    assert found >= (1 if geometry == "disc" else 4)


def test_core_area_is_the_polygons():
    section = synthetic.cross_section(shape=(80, 96), n_scans=1, geometry="disc", layout=synthetic.Layout(disc_radius=2.5))
    area = float(section.coverage.sel(phase="NMC").sum()) * 0.01
    assert area == pytest.approx(np.pi * 2.5**2, rel=2e-4)  # the chords of a 0.02 um polygon cost 5e-5


def test_coverage_fills_every_pixel_once():
    section = synthetic.cross_section(seed=5, shape=(120, 150), n_scans=1, layout=synthetic.Layout(contact_loss=0.5))
    total = section.coverage.drop_sel(phase="SOx").sum("phase").values
    np.testing.assert_allclose(total, 1, atol=1e-9)
    assert float(section.coverage.min()) > -1e-12
    assert (section.coverage.sel(phase="SOx") <= section.coverage.sel(phase="POx") + 1e-9).all()


def test_distance_agrees_with_brute_force_over_all_segments():
    section = synthetic.cross_section(seed=4, shape=(90, 110), n_scans=1)
    outlines = build_scene(recipe_of(section, subject="test")).outlines
    rng = np.random.default_rng(0)
    rows, columns = rng.integers(0, 90, 60), rng.integers(0, 110, 60)
    points = np.column_stack([section.y.values[rows], section.x.values[columns]])
    best, inside = np.full(len(points), np.inf), np.zeros(len(points), bool)
    for outline in outlines:
        start, stop = outline, np.roll(outline, -1, axis=0)
        edge, offset = stop - start, points[:, None] - start
        share = np.clip((offset * edge).sum(-1) / (edge**2).sum(-1), 0, 1)
        best = np.minimum(best, np.hypot(*(offset - share[..., None] * edge).transpose(2, 0, 1)).min(axis=1))
        crosses = (start[:, 0] > points[:, :1]) != (stop[:, 0] > points[:, :1])  # even-odd rule
        at = start[:, 1] + (points[:, :1] - start[:, 0]) / np.where(edge[:, 0] == 0, 1, edge[:, 0]) * edge[:, 1]
        inside ^= (crosses & (points[:, 1:] < at)).sum(axis=1) % 2 == 1
    expected = np.where(inside, -best, best)
    np.testing.assert_allclose(section.distance.values[rows, columns], expected, atol=1e-6)
    assert inside.any()
    assert not inside.all()


def test_distance_of_a_disc_is_analytic_within_2_nm():
    section = synthetic.cross_section(shape=(70, 91), n_scans=1, geometry="disc", layout=synthetic.Layout(disc_radius=2.0))
    radius = np.hypot(section.y - 3.5, section.x - 4.55)
    assert float(np.abs(section.distance - (radius - 2.0)).max()) < 1e-4  # a tenth of a nanometre; the promise is 2 nm


def test_signed_distance_of_points_on_known_sides():
    rng = np.random.default_rng(1)
    outlines = [wavy((0.0, 0.0), 1.5, *random_waves(rng, 0.2)), wavy((0.0, 4.0), 1.0, *random_waves(rng, 0.2))[::-1]]
    s, owner = Outlines(outlines).signed(np.array([[0.0, 0.0], [0.0, 4.0], [0.0, 2.4], [5.0, 0.0]]))
    assert (s[:2] < -0.7).all()
    assert (s[2:] > 0.1).all()
    assert list(owner[:2]) == [0, 1]
    assert perimeter(outlines[0]) > 2 * np.pi * 1.5  # waves lengthen the circle


def seen(profile, sigma, sides):
    """Profile on the fine grid, blurred by a Gaussian and averaged over a square pixel's two sides, by FFT."""
    k = np.fft.rfftfreq(profile.size, FINE)
    transfer = np.exp(-2 * (np.pi * sigma * k) ** 2) * np.sinc(k * sides[0]) * np.sinc(k * sides[1])
    return np.fft.irfft(np.fft.rfft(profile) * transfer, profile.size)


def shell_profile(s, d, name, width):
    """Yield of a shell at distance s from its start, from the words of the documentation."""
    inside = (s >= 0) & (s < d)
    return {
        "uniform": inside * 1.0,
        "falling": inside * (1 - 2 / 3 * s / d),
        "exponential": (s >= 0) * np.exp(-np.maximum(s, 0) / d),
        "diffuse": (s >= 0) * ndtr((d - s) / width),
    }[name]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"shell_profile": "falling"},
        {"shell_profile": "exponential"},
        {"shell_profile": "diffuse", "outer_width": 0.07},
        {"shell_offset": 0.025},
        {"core_yield": 1.5},
        {"core_yield": 0.5},
        {"sigma_int": 0.12},
        {"cut_angle": 50.0},
        {"mixing_layer": 0.006},
    ],
    ids=lambda c: ",".join(f"{k}={v}" for k, v in c.items()) or "none",
)
@pytest.mark.parametrize("halo", [0.0, 0.1])
def test_noise_free_profile_of_each_departure(change, halo):
    """`ideal` of a flat interface against a 1-D convolution on a 0.25 nm grid: core, shells and electrolyte ions."""
    departures = synthetic.Departures(**change)
    instrument = synthetic.Instrument(dead_time=0, drift=0, drift_walk=0, halo_fraction=halo, halo_fwhm=0.8)
    section = synthetic.cross_section(
        shape=(52, 20),
        n_scans=1,
        geometry="planar",
        thickness=0.2,
        layout=synthetic.Layout(angle=20.0),
        instrument=instrument,
        departures=departures,
    )
    along = (np.arange(-32000, 32000) + 0.5) * FINE
    sides = 0.1 * np.cos(np.radians(20)), 0.1 * np.sin(np.radians(20))
    middle = np.abs(along) < 4
    t = along * np.cos(np.radians(departures.cut_angle))  # normal to the interface
    core = (t < 0) * 1.0
    core_yield = core * np.where(t > -0.05, departures.core_yield, 1.0)
    start = t - departures.shell_offset
    emission = {}
    for shell, d in (("POx", 0.2), ("SOx", 0.08)):
        emission[shell] = shell_profile(start, d, departures.shell_profile, departures.outer_width)
        outside = (start < 0) | (start >= d)
        emission[shell] = emission[shell] + outside * (np.abs(t) < 0.5 * departures.mixing_layer)
    material = "uniform" if departures.shell_profile == "falling" else departures.shell_profile
    electrolyte = 1 - core - shell_profile(start, 0.2, material, departures.outer_width)
    level = section.level
    sigma = np.hypot(section.attrs["sigma_psf"], departures.sigma_int)
    wide = np.hypot(0.8 / 2.3548200450309493, departures.sigma_int)
    for fragment in ("NiO2-", "PO2-", "PO3-", "SO3-", "S-"):
        planted = level.sel(fragment=fragment)
        rate = sum(
            float(planted.sel(phase=p)) * field
            for p, field in (
                ("NMC", core_yield),
                ("electrolyte", electrolyte),
                ("POx", emission["POx"]),
                ("SOx", emission["SOx"]),
            )
        )
        blurred = (1 - halo) * seen(rate, sigma, sides) + (halo * seen(rate, wide, sides) if halo else 0)
        expected = np.interp(section.distance.values, along[middle], blurred[middle])
        # edges of an oblique cut fall beside the 0.25 nm grid by up to 0.13 nm: 6e-4 of a step seen through sigma 85 nm
        np.testing.assert_allclose(section.ideal.sel(fragment=fragment), expected, atol=7e-4 * float(planted.max()))
    assert section.attrs["thickness_POx"] == pytest.approx(0.2 / np.cos(np.radians(departures.cut_angle)))
    assert section.attrs["true_thickness_POx"] == 0.2


def test_mixing_layer_emits_without_a_shell():
    """Excess of PO3− over the step equals level × thickness of the layer, here 4 nm."""
    options = {"shape": (64, 16), "n_scans": 1, "geometry": "planar", "instrument": PLAIN, "thickness": None}
    none = synthetic.cross_section(**options)
    mixed = synthetic.cross_section(**options, departures=synthetic.Departures(mixing_layer=0.004))
    excess = (mixed.ideal - none.ideal).sel(fragment="PO3-").sum("y").mean("x") * 0.1
    level = float(none.level.sel(phase="POx", fragment="PO3-"))
    # the layer lies 5 degrees off the x axis, so its cut along y is 1/cos longer
    assert float(excess) == pytest.approx(level * 0.004 / np.cos(np.radians(5)), rel=1e-3)
    assert none.attrs["thickness_POx"] == 0
    assert float(none.coverage.sel(phase="POx").max()) == 0


def test_thickness_spread_is_drawn_per_particle_and_drawn_in_the_map():
    section = synthetic.cross_section(
        seed=2,
        shape=(220, 260),
        n_scans=1,
        thickness=0.15,
        layout=bare(radius=(1.0, 1.5), fill=0.4),
        departures=synthetic.Departures(thickness_spread=0.3),
    )
    planted = section.particle_thickness_POx.values
    assert 0.15 < planted.std() / planted.mean() < 0.5
    np.testing.assert_allclose(section.particle_thickness_SOx, 0.4 * planted)
    weighted = np.average(planted, weights=section.particle_perimeter)
    assert section.attrs["thickness_POx"] == pytest.approx(weighted)
    for mask, particle in isolated(section):
        d, p = planted[particle], float(section.particle_perimeter[particle])
        assert float(section.coverage.sel(phase="POx").values[mask].sum()) * 0.01 == pytest.approx(p * d + np.pi * d**2, rel=5e-3)


def test_random_plane_shows_a_thin_shell_4_over_pi_wider():
    sphere, height = random_cuts(np.random.default_rng(0), 200_000, (1.0, 5.0))
    cut, d = np.sqrt(sphere**2 - height**2), 0.01
    apparent = np.sqrt((sphere + d) ** 2 - height**2) - cut
    # 0.2 % statistics; a shell of 1 % or less of the radius stays within 0.5 % of the thin limit
    assert np.average(apparent, weights=cut) / d == pytest.approx(4 / np.pi, rel=7e-3)


def test_spheres_store_true_and_apparent_thickness_and_draw_rings():
    section = synthetic.cross_section(
        seed=6, shape=(240, 260), n_scans=1, geometry="spheres", thickness=0.15, layout=bare(radius=(1.0, 2.5), fill=0.35)
    )
    r, big, z = (section[k].values for k in ("particle_radius", "sphere_radius", "sphere_height"))
    np.testing.assert_allclose(r, np.sqrt(big**2 - z**2))
    outer = np.sqrt((big + 0.15) ** 2 - z**2)
    np.testing.assert_allclose(section.particle_thickness_POx, outer - r)
    weighted = np.average(outer - r, weights=section.particle_perimeter)
    assert section.attrs["thickness_POx"] == pytest.approx(weighted)
    assert section.attrs["thickness_POx"] > section.attrs["true_thickness_POx"] == pytest.approx(0.15)
    rings = [
        (float(section.coverage.sel(phase="POx").values[mask].sum()) * 0.01, np.pi * (outer[i] ** 2 - r[i] ** 2))
        for mask, i in isolated(section)
    ]
    assert len(rings) >= 4
    for drawn, analytic in rings:
        assert drawn == pytest.approx(analytic, rel=5e-3)


def test_spheres_whose_shell_alone_is_cut_leave_spots():
    section = synthetic.cross_section(
        seed=1, shape=(200, 220), n_scans=1, geometry="spheres", thickness=0.3, layout=bare(radius=(0.5, 0.8), fill=0.2)
    )
    shell = section.coverage.sel(phase="POx").values > 0.5
    parts, n = label(shell)
    cores = section.coverage.sel(phase="NMC").values > 0
    grown, _ = label(shell | cores)
    with_core = np.unique(grown[cores])
    spots = [i for i in range(1, n + 1) if not np.isin(np.unique(grown[parts == i]), with_core).any()]
    assert spots


def test_contact_loss_takes_shell_and_says_how_much():
    lost = synthetic.cross_section(seed=3, shape=(150, 190), n_scans=1, layout=bare(radius=(1.0, 2.0), contact_loss=1.0))
    for mask, particle in isolated(lost):
        p, contact = float(lost.particle_perimeter[particle]), float(lost.particle_contact[particle])
        share = float(lost.coverage.sel(phase="POx").values[mask].sum()) * 0.01 / (p * 0.2 + np.pi * 0.04)
        assert 0.5 < contact < 0.9
        assert contact - 0.02 < share < contact + 0.12  # the sickle tapers: at its tips it leaves part of the shell


def test_cracks_open_the_core_and_leave_the_distance():
    whole = synthetic.cross_section(seed=8, shape=(120, 130), n_scans=1, layout=bare(cracked=0.0, radius=(1.5, 2.5)))
    cracked = synthetic.cross_section(seed=8, shape=(120, 130), n_scans=1, layout=bare(cracked=1.0, radius=(1.5, 2.5)))
    np.testing.assert_array_equal(whole.distance, cracked.distance)
    open_ = (whole.coverage - cracked.coverage).sel(phase="NMC").values
    assert open_.min() > -1e-12
    assert 0.1 < open_.sum() * 0.01 < 5  # um² of crack
    assert whole.distance.values[open_ > 1e-6].max() < 0
    np.testing.assert_allclose(open_, -(whole.coverage - cracked.coverage).sel(phase="void").values, atol=1e-12)
    assert cracked.particle_cracked.values.all()


def test_sample_does_not_depend_on_thickness_or_instrument():
    thin = synthetic.cross_section(seed=9, shape=(60, 80), n_scans=1, thickness=0.05)
    thick = synthetic.cross_section(seed=9, shape=(60, 80), n_scans=1, thickness=0.3, instrument=PLAIN)
    other = synthetic.cross_section(seed=10, shape=(60, 80), n_scans=1, thickness=0.05)
    np.testing.assert_array_equal(thin.distance, thick.distance)
    np.testing.assert_array_equal(thin.coverage.sel(phase="NMC"), thick.coverage.sel(phase="NMC"))
    assert not np.array_equal(thin.distance, other.distance)


def test_stack_of_named_layers():
    layout = synthetic.Layout(layers=(("carbon", 1.0), ("NMC", 2.0), ("coating", 0.3), ("electrolyte", 1.0)), angle=0.0)
    section = synthetic.cross_section(
        shape=(70, 12),
        n_scans=1,
        geometry="planar",
        thickness=0,
        layout=layout,
        levels={"coating": {"PO3-": 7.0}},
        instrument=PLAIN,
    )
    assert list(section.phase.values)[-1] == "coating"
    widths = section.coverage.mean("x").sum("y") * 0.1
    assert float(widths.sel(phase="NMC")) == pytest.approx(2.0)
    assert float(widths.sel(phase="coating")) == pytest.approx(0.3)
    y = section.y.values - 3.5  # the stack is 4.3 um and centred: NMC from -1.15 to 0.85
    np.testing.assert_allclose(section.distance[:, 0], np.abs(y + 0.15) - 1.0, atol=1e-12)
    assert float(section.ideal.sel(fragment="PO3-").max()) > 2


def test_shell_grows_on_both_sides_towards_electrolyte_only():
    layout = synthetic.Layout(layers=(("electrolyte", 1.0), ("NMC", 2.0), ("carbon", 1.0)), angle=0.0)
    section = synthetic.cross_section(shape=(60, 8), n_scans=1, geometry="planar", thickness=0.2, layout=layout)
    shell = section.coverage.sel(phase="POx")[:, 0]
    assert float(shell.sum()) * 0.1 == pytest.approx(0.2)
    assert float(shell[30:].sum()) == pytest.approx(0, abs=1e-9)
    two = synthetic.Layout(layers=(("electrolyte", 1.0), ("NMC", 2.0), ("electrolyte", 1.0)), angle=0.0)
    both = synthetic.cross_section(shape=(60, 8), n_scans=1, geometry="planar", thickness=0.2, layout=two)
    assert float(both.coverage.sel(phase="POx")[:, 0].sum()) * 0.1 == pytest.approx(0.4)


def test_no_nmc_leaves_distance_undefined():
    layout = synthetic.Layout(layers=(("carbon", 1.0), ("electrolyte", 1.0)))
    section = synthetic.cross_section(shape=(20, 24), n_scans=1, geometry="planar", layout=layout)
    assert np.isnan(section.distance).all()
    empty = synthetic.cross_section(shape=(40, 44), n_scans=1, layout=synthetic.Layout(fill=0.0))
    assert np.isnan(empty.distance).all()
    assert "particle" not in empty.dims


def test_every_fault_is_named_at_once():
    with pytest.raises(
        SsbmapsError, match=r"(?s)5 faults.*n_scans is 0.*geometry is 'cube'.*thickness_SOx.*unknown phases Li.*fill is 2"
    ):
        synthetic.cross_section(
            n_scans=0,
            geometry="cube",
            thickness=0.1,
            thickness_SOx=0.2,
            levels={"Li": {"S-": 1.0}},
            layout=synthetic.Layout(fill=2),
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"shape": (8,)}, "two numbers of pixels"),
        ({"shape": (2, 8)}, "at least 4 x 4"),
        ({"layout": synthetic.Layout(layers=(("NMC", 1.0),))}, "geometry='planar'"),
        ({"geometry": "planar", "layout": synthetic.Layout(layers=(("LCO", 1.0), ("NMC", 1.0)))}, "LCO, known only to you"),
        ({"geometry": "planar", "layout": synthetic.Layout(layers=(("NMC", 1.0), ("POx", 1.0)))}, "drawn twice"),
        ({"geometry": "planar", "layout": synthetic.Layout(layers=(("NMC", 1.0), ("SOx", 1.0)))}, "lies inside POx"),
        (
            {"geometry": "planar", "layout": synthetic.Layout(layers=(("NMC", 1.0), ("electrolyte", 0.3), ("NMC", 1.0)))},
            "at least twice the shell",
        ),
        ({"instrument": synthetic.Instrument(beam_fwhm=0.01)}, "half a pixel"),
        ({"instrument": synthetic.Instrument(transient={"Xe-": 1.0})}, "unknown fragments Xe-"),
        ({"instrument": synthetic.Instrument(leak=(("S-", "PO2-", 1.5),))}, "leak holds"),
        ({"instrument": synthetic.Instrument(halo_fraction=0.1, halo_fwhm=9.0)}, "beyond the map"),
        ({"geometry": "spheres", "departures": synthetic.Departures(cut_angle=30)}, "oblique by itself"),
        ({"departures": synthetic.Departures(shell_profile="square")}, "shell_profile is 'square'"),
        ({"levels": {"NMC": {"S-": -1.0}}}, "negative counts"),
    ],
)
def test_bad_arguments_get_a_letter(options, message):
    with pytest.raises(SsbmapsError, match=message):
        synthetic.cross_section(**{"shape": (16, 20), "n_scans": 1, **options})


def test_side_of_a_sharp_tip_seen_from_afar():
    """Points before the tip of a wedge lie outside, though inside the prolongation of one of its sides."""
    wedge = strand(np.column_stack([np.zeros(9), np.linspace(0, 1, 9)]), np.linspace(0.1, 0.002, 9))
    rng = np.random.default_rng(2)
    points = rng.uniform(-3, 3, (4000, 2))
    inside = (points[:, 1] > 0) & (points[:, 1] < 1) & (np.abs(points[:, 0]) < 0.1 - 0.098 * points[:, 1])
    assert ((Outlines([wedge]).signed(points)[0] < 0) == inside).all()
    assert inside.any()
