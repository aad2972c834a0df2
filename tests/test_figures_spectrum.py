"""Spectra on figures: what is summed, what a point of the curve holds, and names that stand where their peaks are."""

import itertools

import matplotlib as mpl
import numpy as np
import pytest
import sparse
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from ssbmaps import SsbmapsError, figures, maps
from ssbmaps._conventions import raster_coords, spectral_coord
from ssbmaps.figures._spectrum_sheet import GAP, prominent, side_by_side

IONS = {"C2-": 24.0005, "S-": 31.9726, "Cl-": 34.9694, "PS-": 62.9464, "PO2-": 62.9641, "PO3-": 78.9591}  # m/z in Da


def cube(seed: int = 3) -> xr.DataArray:
    """(scan, y, x, mz) counts of 2 × 5 × 7 spectra: 400 to 900 counts at each ion, in time-of-flight bins 1 ns wide."""
    time = np.arange(4000, 9500) * 1e-3  # us; m/z = (t)², so channels are 2 t dt wide: 8 to 19 mDa
    mz = time**2
    mean = np.full(len(mz), 1e-3)
    for i, place in enumerate(IONS.values()):
        mean += (10 + 2 * i) / 9 * np.exp(-0.5 * ((mz - place) / 0.006) ** 2) * np.gradient(mz) / 0.012
    values = np.random.default_rng(seed).poisson(mean, (2, 5, 7, len(mz))).astype(np.uint8)
    coords = {**raster_coords((5, 7), (0.1, 0.1)), "mz": spectral_coord("mz", mz)}
    attrs = {"units": "counts", "polarity": "negative"}
    return xr.DataArray(values, dims=("scan", "y", "x", "mz"), coords=coords, attrs=attrs)


def spectrum(mz: list[float] | np.ndarray, values: list[float] | np.ndarray, **attrs: str) -> xr.DataArray:
    return xr.DataArray(np.asarray(values), dims="mz", coords={"mz": np.asarray(mz)}, attrs={"units": "counts", **attrs})


def bins(fig: Figure) -> tuple[np.ndarray, np.ndarray]:
    """Values and edges of the bins drawn."""
    values, edges, _ = fig.axes[0].patches[-1].get_data()
    return np.asarray(values), np.asarray(edges)


def label(fig: Figure) -> str:
    return " ".join(fig.axes[0].get_ylabel().split())


def leaders(fig: Figure) -> dict[str, np.ndarray]:
    """Corners of the line from each name to its peak, in pixels of the figure."""
    found = [line for line in fig.artists if str(line.get_gid()).startswith("assigned ")]
    return {line.get_gid().removeprefix("assigned "): fig.transFigure.transform(line.get_xydata()) for line in found}


def names(fig: Figure) -> list[str]:
    return [t.get_text() for t in fig.texts]


def test_uneven_channels_are_summed_into_even_bins_that_the_axis_states() -> None:
    """Span 74.2 Da / 2000 asks for 0.05 Da, 5 channels of 13.5 mDa for 0.1 Da. Counted again pixel by pixel."""
    data = cube()
    fig = figures.spectrum_figure(data)
    values, edges = bins(fig)
    assert label(fig) == "counts per 0.1 Da"
    np.testing.assert_allclose(np.diff(edges), 0.1)
    np.testing.assert_allclose((edges[:-1] + 0.05) / 0.1, np.round((edges[:-1] + 0.05) / 0.1), atol=1e-9)
    total = data.values.astype(int).reshape(-1, data.sizes["mz"]).sum(axis=0)
    for value, low, high in zip(values, edges[:-1], edges[1:], strict=True):
        assert value == total[(data.mz.values >= low) & (data.mz.values < high)].sum()
    assert values.sum() == total.sum()
    assert "sum of 70 spectra" in names(fig)


def test_occupied_bins_only_give_the_same_bins_as_all() -> None:
    """A file that leaves out empty channels holds the same spectrum."""
    data = cube()
    occupied = data.isel(mz=np.flatnonzero(data.values.any(axis=(0, 1, 2))))
    assert occupied.sizes["mz"] < data.sizes["mz"]
    first, edges = bins(figures.spectrum_figure(data, bin_width=0.5, axis_range=(20, 80)))
    second, same = bins(figures.spectrum_figure(occupied, bin_width=0.5, axis_range=(20, 80)))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(edges, same)


def test_even_channels_of_mass_are_drawn_as_they_are() -> None:
    fig = figures.spectrum_figure(spectrum([30.0, 30.5, 31.0, 31.5], [1, 0, 7, 2]))
    values, edges = bins(fig)
    np.testing.assert_array_equal(values, [1, 0, 7, 2])
    np.testing.assert_allclose(edges, [29.75, 30.25, 30.75, 31.25, 31.75])
    assert label(fig) == "counts per channel of 0.5 Da"
    assert "sum" not in " ".join(names(fig))


def test_a_list_of_peaks_is_drawn_as_sticks() -> None:
    masses, counts = [22.99, 26.98, 38.96, 62.93], [5, 0, 9, 3]
    fig = figures.spectrum_figure(spectrum(masses, counts))
    sticks = np.array(fig.axes[0].collections[0].get_segments())
    np.testing.assert_allclose(sticks[:, 1], [(22.99, 5), (38.96, 9), (62.93, 3)])
    assert label(fig) == "counts per channel"


@pytest.mark.parametrize(("dim", "unit"), [("raman_shift", "cm⁻¹"), ("kinetic_energy", "eV")])
def test_other_axes_are_lines(dim: str, unit: str) -> None:
    values = np.random.default_rng(1).normal(3.0, 1.0, (4, 6, 50))
    axis = spectral_coord(dim, np.linspace(100, 198, 50))
    data = xr.DataArray(values, dims=("y", "x", dim), coords={dim: axis}, attrs={"units": "arbitrary", "long_name": "signal"})
    fig = figures.spectrum_figure(data)
    line = fig.axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata(), values.reshape(24, 50).sum(axis=0))
    np.testing.assert_allclose(line.get_xdata(), axis[1])
    assert label(fig) == f"signal (arbitrary units) per channel of 2 {unit}"
    assert fig.axes[0].get_xlabel().endswith(f"({unit})")
    assert label(figures.spectrum_figure(data, bin_width=10)) == f"signal (arbitrary units) per 10 {unit}"


@pytest.mark.parametrize("width", [82.55, 171.0])
def test_names_lead_to_the_exact_mass_of_their_ion(width: float) -> None:
    """The lower end of each leader, turned back into Da, is the ion's m/z; it ends at the spectrum's height there."""
    fig = figures.spectrum_figure(cube(), assigned=list(IONS), scale="log")
    fig.fit_width(width)
    fig.canvas.draw()
    axes = fig.axes[0]
    values, edges = bins(fig)
    found = leaders(fig)
    assert set(found) == set(IONS)
    for ion, place in IONS.items():
        at, height = axes.transData.inverted().transform(found[ion][-1])
        assert at == pytest.approx(place, abs=1e-3)
        assert found[ion][-2][0] == pytest.approx(found[ion][-1][0])
        bin_value = values[np.searchsorted(edges, place) - 1]
        assert bin_value < height < 2 * bin_value
    assert r"$\mathrm{PO_{3}^{-}}$" in names(fig)


def test_windows_of_maps_are_shaded_and_named_in_the_legend() -> None:
    data = cube()
    found = maps.fragment_maps(data, ["S-", "PO3-"], window=0.2)
    fig = figures.spectrum_figure(data, assigned=found)
    spans = [p.get_bbox() for p in fig.axes[0].patches[:-1]]
    np.testing.assert_allclose([s.x0 for s in spans], found.mz_low)
    np.testing.assert_allclose([s.x1 for s in spans], found.mz_high)
    assert "windows of the maps" in names(fig)
    assert set(leaders(fig)) == {"S-", "PO3-"}


def test_bands_of_integrated_raman_maps_are_assigned_by_their_windows() -> None:
    shift = np.linspace(300, 600, 61)
    data = xr.DataArray(np.ones((2, 3, 61)), dims=("y", "x", "raman_shift"), attrs={"units": "arbitrary"})
    data = data.assign_coords(raman_shift=spectral_coord("raman_shift", shift))
    bands = maps.integrate(data, {"PS4": (410, 430)})
    fig = figures.spectrum_figure(data, assigned=bands)
    assert fig.axes[0].patches[0].get_bbox().x0 == 410
    assert fig.axes[0].transData.inverted().transform(leaders(fig)["PS4"][-1])[0] == pytest.approx(420, abs=0.01)


def test_names_outside_the_range_are_left_out() -> None:
    fig = figures.spectrum_figure(cube(), assigned=list(IONS), axis_range=(60, 70))
    assert set(leaders(fig)) == {"PS-", "PO2-"}
    assert fig.axes[0].get_xlim() == (60, 70)


def test_largest_peaks_are_labelled_with_their_position_beside_the_assigned() -> None:
    fig = figures.spectrum_figure(cube(), assigned=["PO3-", "PO2-"], peaks=3)
    others = sorted(float(n) for n in leaders(fig) if n not in IONS)
    np.testing.assert_allclose(others, [24.0, 32.0, 35.0], atol=0.051)


def test_peaks_are_ranked_by_what_stands_out_not_by_height() -> None:
    """On a steep background the bump of 3 at 40 stands out more than the higher wiggle of 1 at 90."""
    position = np.arange(100.0)
    values = position.copy()
    values[40] += 4
    values[90] += 2
    assert prominent(position, values, 1, apart=1.0, taken=(), counts=False) == [99]
    assert prominent(position, values, 3, apart=1.0, taken=(), counts=False) == [99, 40, 90]
    assert prominent(position, values, 3, apart=1.0, taken=(40.5,), counts=False) == [99, 90]
    assert prominent(position, values, 0, apart=1.0, taken=(), counts=False) == []
    assert prominent(position, np.ones(100), 3, apart=1.0, taken=(), counts=False) == []


def test_noise_of_counts_is_no_peak():
    """Poisson noise about 100 counts with one peak of 300: asked for eight, only that one is labelled."""
    values = np.random.default_rng(5).poisson(100, 400).astype(float)
    values[77] = 300
    assert prominent(np.arange(400.0), values, 8, apart=1.0, taken=(), counts=True) == [77]


@pytest.mark.parametrize("width", [82.55, 177.8])
@pytest.mark.parametrize("n", [3, 9, 40])
def test_names_never_overlap_or_leave_the_page(width: float, n: int) -> None:
    """40 names do not fit in 83 mm: those of the largest peaks stay, and the figure says how many went."""
    masses = np.linspace(20.0, 60.0, 4001)
    places = 40 + np.linspace(-1, 1, n) ** 3 * 15
    heights = np.linspace(10, 1000, n)
    values = sum(h * np.exp(-0.5 * ((masses - p) / 0.02) ** 2) for h, p in zip(heights, places, strict=True))
    assigned = {f"[{40 + i}Ca]O+": float(p) for i, p in enumerate(places)}
    fig = figures.spectrum_figure(spectrum(masses, np.asarray(values)), assigned=assigned)
    fig.fit_width(width)
    fig.canvas.draw()
    shown = [t for t in fig.texts if "Ca" in t.get_text()]
    ticks = [fig.axes[0].xaxis.label, fig.axes[0].yaxis.label, *fig.axes[0].get_yticklabels()]
    ticks += [t for t in fig.axes[0].get_xticklabels() if 20 <= t.get_position()[0] <= 60]
    boxes = [t.get_window_extent() for t in [*fig.texts, *ticks] if t.get_text()]
    page = fig.bbox
    assert all(b.x0 >= page.x0 and b.x1 <= page.x1 and b.y0 >= page.y0 and b.y1 <= page.y1 for b in boxes)
    for first, second in itertools.combinations(boxes, 2):
        shared = Bbox.intersection(first, second)
        assert shared is None or shared.width * shared.height < 1e-9
    missing = n - len(shown)
    assert (f"{missing} names of smaller peaks left out for lack of room" in " ".join(names(fig))) == (missing > 0)
    assert missing == 0 or n == 40
    assert f"[{40 + n - 1}Ca]O+" in leaders(fig)


@given(st.lists(st.tuples(st.floats(0, 70), st.floats(1, 8)), min_size=1, max_size=8))
def test_labels_side_by_side_keep_their_order_and_distance(wishes: list[tuple[float, float]]) -> None:
    wishes = sorted(wishes)
    wanted, widths = np.array(wishes).T
    placed = side_by_side(wanted, widths, -2.0, 72.0)
    assert (np.diff(placed) >= (widths[1:] + widths[:-1]) / 2 + GAP - 1e-9).all()
    assert placed[0] - widths[0] / 2 >= -2.0 - 1e-9
    assert placed[-1] + widths[-1] / 2 <= 72.0 + 1e-9


def test_labels_with_room_stand_above_their_peaks() -> None:
    np.testing.assert_allclose(side_by_side(np.array([10.0, 30.0]), np.array([5.0, 5.0]), 0, 80), [10, 30])
    np.testing.assert_allclose(side_by_side(np.array([30.0, 30.0]), np.array([5.0, 5.0]), 0, 80), [30 - 2.95, 30 + 2.95])


def test_a_log_axis_says_so_and_leaves_zeros_empty() -> None:
    fig = figures.spectrum_figure(spectrum([30.0, 31.0, 32.0], [0, 1, 2000]), scale="log")
    axes = fig.axes[0]
    assert axes.get_yscale() == "log"
    assert label(fig).endswith("log scale")
    values, _ = bins(fig)
    assert values[0] == axes.get_ylim()[0] == 0.5
    np.testing.assert_array_equal(values[1:], [1, 2000])
    assert "log" not in label(figures.spectrum_figure(spectrum([30.0, 31.0], [0, 5])))


def test_more_bins_than_paper_shows_keep_every_maximum_and_say_so() -> None:
    values = np.zeros(9000, int)
    values[4321] = 50
    fig = figures.spectrum_figure(spectrum(np.arange(9000) * 0.01 + 10, values))
    sticks = np.array(fig.axes[0].collections[0].get_segments())
    np.testing.assert_allclose(sticks[:, 1], [(53.21, 50)])
    assert "the largest of 3 neighbouring values is drawn" in names(fig)


def test_containers_and_orders_draw_the_same_and_stay_unchanged() -> None:
    data = cube()
    before, settings = data.copy(deep=True), dict(mpl.rcParams)
    plain = bins(figures.spectrum_figure(data))[0]
    coo = data.copy(data=sparse.COO.from_numpy(data.values))
    others = (data.transpose("mz", "x", "scan", "y"), coo, data.chunk({"y": 2, "mz": 900}), coo.chunk({"scan": 1}))
    for other in others:
        np.testing.assert_array_equal(bins(figures.spectrum_figure(other))[0], plain)
    xr.testing.assert_identical(data, before)
    assert dict(mpl.rcParams) == settings


def test_sums_do_not_overflow_the_file_s_integers() -> None:
    data = xr.DataArray(
        np.full((300, 2), 255, np.uint8), dims=("x", "mz"), coords={"mz": [30.0, 31.0]}, attrs={"units": "counts"}
    )
    np.testing.assert_array_equal(bins(figures.spectrum_figure(data))[0], 300 * 255)


@pytest.mark.parametrize("chunked", [False, True])
def test_spectra_with_nan_are_left_out_whole_and_the_number_says_so(chunked: bool) -> None:
    values = np.ones((4, 5, 30))
    values[0, 1, 7] = np.nan
    values[2] = np.nan
    axis = spectral_coord("raman_shift", np.arange(30.0))
    data = xr.DataArray(values, dims=("y", "x", "raman_shift"), coords={"raman_shift": axis}, attrs={"units": "counts"})
    fig = figures.spectrum_figure(data.chunk({"y": 1}) if chunked else data)
    np.testing.assert_array_equal(fig.axes[0].lines[0].get_ydata(), 14)
    assert "sum of 14 spectra" in names(fig)


def test_unmeasured_pixels_do_not_count() -> None:
    data = cube()
    measured = np.ones((5, 7), bool)
    measured[0] = False
    data = data.where(xr.DataArray(measured, dims=("y", "x")), 0).assign_coords(measured=(("y", "x"), measured))
    assert "sum of 56 spectra" in names(figures.spectrum_figure(data))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: figures.spectrum_figure(cube(), assigned=["Xx2-", "PO3"]),
            "(?s)2 faults.*'Xx' is no element.*charge is missing",
        ),
        (lambda: figures.spectrum_figure(cube(), assigned=["Li+"]), r"Li\+: the spectra were measured in negative polarity"),
        (
            lambda: figures.spectrum_figure(cube(), assigned=["I-"]),
            "I- at 126.9.* lies outside the axis, 16 to 90.2",
        ),
        (lambda: figures.spectrum_figure(cube(), assigned=["S-"], axis_range=(40, 50)), "none of S- lies in axis_range"),
        (lambda: figures.spectrum_figure(cube(), assigned=[]), "expected at least one name"),
        (lambda: figures.spectrum_figure(cube(), assigned={"S-": "x"}), "expected a name and a finite position"),
        (lambda: figures.spectrum_figure(cube(), assigned=cube()), "expected maps with mz_low and mz_high"),
        (lambda: figures.spectrum_figure(cube(), axis_range=(100, 110)), "holds no channel of the axis, 16 to 90.2"),
        (
            lambda: figures.spectrum_figure(cube(), axis_range=(9, 1), peaks=-1, scale="sqrt"),
            "(?s)3 faults.*peaks.*scale.*rising",
        ),
        (lambda: figures.spectrum_figure(cube(), bin_width=0.001), "bin_width=0.001 Da is less than the spacing"),
        (lambda: figures.spectrum_figure(cube(), bin_width=-1), "bin_width=-1"),
        (lambda: figures.spectrum_figure(cube().isel(mz=0)), "expected one spectral dimension"),
        (lambda: figures.spectrum_figure(cube().rename(scan="component")), "dimension component: its spectra are not summed"),
        (lambda: figures.spectrum_figure(cube().astype(float) * np.nan), "every spectrum holds NaN"),
        (lambda: figures.spectrum_figure(spectrum([1.0, 2.0], [np.inf, 1])), "infinite values"),
        (lambda: figures.spectrum_figure(spectrum([1.0, 2.0], [-1, 1]), scale="log"), "no place on a log scale"),
        (lambda: figures.spectrum_figure(spectrum([1.0, 2.0], [0, 0]), scale="log"), "no value above 0"),
        (lambda: figures.spectrum_figure(np.ones(4)), "expected an xarray.DataArray"),
    ],
)
def test_what_cannot_be_drawn_is_said(call: object, message: str) -> None:
    with pytest.raises(SsbmapsError, match=message):
        call()  # type: ignore[operator]


def test_ions_have_no_place_on_an_energy_axis() -> None:
    data = xr.DataArray(np.ones(5), dims="kinetic_energy", coords={"kinetic_energy": np.arange(5.0)}, attrs={"units": "counts"})
    with pytest.raises(SsbmapsError, match="ions have no place on an axis of kinetic_energy"):
        figures.spectrum_figure(data, assigned=["S-"])
    assert set(leaders(figures.spectrum_figure(data, assigned={"S LMM": 2.0}))) == {"S LMM"}
