"""Growth: planted laws are found, intervals cover, limits take part, what cannot be told is said, wrong input is refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import root

from ssbmaps import SsbmapsError
from ssbmaps.interfaces import fit_growth
from ssbmaps.interfaces._growth_data import cells_of, read_entries
from ssbmaps.interfaces._growth_laws import LAWS, Curves, curves_of, fit_sets
from ssbmaps.interfaces._growth_scatter import fit_cells
from ssbmaps.interfaces._growth_weigh import with_interval

TIMES = np.array([10.0, 50.0, 100.0, 200.0, 400.0])
K, D0 = 4e-4, 0.05


def draw(rng, *, cells=5, particles=10, cv_cells=0.0, curve=lambda t: np.sqrt(D0**2 + K * t), times=TIMES, spread=0.25):
    """Particles of `cells` cells at each time: thickness with units, coordinates t (h) and cell."""
    t = np.repeat(times, cells * particles)
    cell = np.repeat(np.arange(len(times) * cells), particles)
    shape = 1 / spread**2
    d = curve(t) * (1 + cv_cells * rng.standard_normal(len(times) * cells))[cell] * rng.gamma(shape, 1 / shape, len(t))
    coords = {"t": ("particle", t, {"units": "h"}), "cell": ("particle", cell)}
    return xr.DataArray(d, coords, "particle", attrs={"units": "um"})


@cache
def one():
    return draw(np.random.default_rng(7), cv_cells=0.1)


def fitted(data, **options):
    return fit_growth(data, time="t", group="cell", n_boot=200, **options)


def root_law(data, *, n_boot, at=0.0, upper_limit=None):
    """The square-root law by the parts of fit_growth: low and high end of the rate, and the curve at one time.

    fit_growth fits the other laws, too, which takes most of its time; where hundreds of draws are fitted, this law will do.
    """
    entries = read_entries(
        data, time="t", sd=None, group="cell", weight=None, upper_limit=upper_limit, geometry="particles", subject="test"
    )
    cells = cells_of(entries)
    (fit,) = fit_cells([cells], "sqrt")
    law = with_interval(fit, cells, np.array([at]), n_boot, np.random.default_rng(0))
    return law.values["rate"][2], law.values["rate"][3], law.band[0, 0]


def close(a, b, **tolerance):
    names = [n for n in a.data_vars if a[n].dtype.kind == "f" and n not in ("cell_time",)]
    for name in names:
        np.testing.assert_allclose(a[name].values, b[name].values, **{"rtol": 1e-6, **tolerance}, err_msg=name)


def test_planted_rate_intercept_and_scatters():
    found = fit_growth(draw(np.random.default_rng(1), cells=40, cv_cells=0.1), time="t", group="cell").sel(law="sqrt")
    # 40 cells per time: cv of a mean is √(0.1² + 0.25²/10) = 0.13; k is known to some 2.4 %, d0 to 4 nm; 4 standard errors
    assert abs(float(found.rate) / K - 1) < 0.1
    assert abs(float(found.intercept) - D0) < 0.015
    assert abs(float(found.cv_particles) - 0.25) < 0.02
    assert abs(float(found.cv_cells) - 0.1) < 0.03
    assert float(found.rate_low) < K < float(found.rate_high)
    assert float(found.rate_sd) == pytest.approx((float(found.rate_high) - float(found.rate_low)) / 3.94, rel=0.15)
    assert (int(found.n_cells), int(found.n_particles), int(found.n_limits)) == (200, 2000, 0)


PLANTED = {
    "sqrt": (lambda t: np.sqrt(D0**2 + K * t), {"rate": K, "intercept": D0}),
    "linear": (lambda t: 0.08 + 1e-3 * t, {"rate": 1e-3, "intercept": 0.08}),
    "logarithmic": (lambda t: 0.05 + 0.1 * np.log1p(t / 20), {"rate": 0.1, "intercept": 0.05, "tau": 20.0}),
    "power": (lambda t: 0.05 + 0.01 * t**0.7, {"rate": 0.01, "intercept": 0.05, "exponent": 0.7}),
}


@pytest.mark.parametrize("law", LAWS)
def test_each_law_is_found_and_told_from_the_others(law):
    curve, truth = PLANTED[law]
    rng = np.random.default_rng(3)
    times = np.array([0.0, 5, 20, 60, 150, 400])
    data = draw(rng, cells=4, spread=0.05, curve=curve, times=times)
    found = fitted(data)
    own = found.sel(law=law)
    for name, value in truth.items():
        # 24 cells of 1.6 % each; a tenth is several standard errors for rates, τ and n lie within their 95 % ends widened by half
        low, high = float(own[f"{name}_low"]), float(own[f"{name}_high"])
        assert low - (high - low) / 4 < value < high + (high - low) / 4, name
    assert law in str(found.laws_alike.values).split()
    assert float(own.likelihood_ratio) > 100
    assert float(found.evidence.sum()) == pytest.approx(1)
    if law in ("sqrt", "linear"):
        assert str(found.preferred.values) == law
    on_curve = np.interp(150.0, found.time, found.curve.sel(law=law))
    assert on_curve == pytest.approx(float(curve(np.array(150.0))), rel=0.03)


@settings(max_examples=8)
@given(st.floats(0.01, 100), st.floats(0.05, 20))
def test_scaling_of_time_and_thickness(slower, thicker):
    base = fitted(one())
    stretched = fitted(one().assign_coords(t=one().t * slower))
    np.testing.assert_allclose(stretched.rate.sel(law="sqrt") * slower, base.rate.sel(law="sqrt"), rtol=1e-6)
    np.testing.assert_allclose(stretched.rate_high.sel(law="linear") * slower, base.rate_high.sel(law="linear"), rtol=1e-5)
    np.testing.assert_allclose(stretched.tau.sel(law="logarithmic") / slower, base.tau.sel(law="logarithmic"), rtol=1e-4)
    np.testing.assert_allclose(stretched.exponent, base.exponent, rtol=1e-4)
    scaled = fitted((one() * thicker).assign_attrs(units="um"))
    np.testing.assert_allclose(scaled.rate.sel(law="sqrt"), base.rate.sel(law="sqrt") * thicker**2, rtol=1e-6)
    np.testing.assert_allclose(scaled.intercept_high, base.intercept_high * thicker, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(scaled.evidence, base.evidence, atol=1e-6)


@settings(max_examples=5)
@given(st.integers(0, 1000))
def test_order_of_entries_does_not_matter(seed):
    order = np.random.default_rng(seed).permutation(one().size)
    close(fitted(one()), fitted(one().isel(particle=order)), atol=1e-12)


def test_units_section_and_provenance():
    found = fitted(one())
    assert found.rate_units.values.tolist() == ["um^2/h", "um/h", "um", "um/h^n"]
    assert "um^2/h (sqrt)" in found.rate.attrs["units"]
    assert found.time.attrs["units"] == found.cell_time.attrs["units"] == found.tau.attrs["units"] == "h"
    np.testing.assert_allclose(found.true_rate / found.rate, [(np.pi / 4) ** 2, *[np.pi / 4] * 3])
    np.testing.assert_allclose(found.true_intercept_high, found.intercept_high * np.pi / 4)
    assert not [n for n in fitted(one(), geometry="planar") if str(n).startswith("true_")]
    assert "interfaces.fit_growth" in found.attrs["history"]
    found = fitted(one(), law="sqrt")
    assert found.attrs["wording"] == "apparent k; assumes constant ion yield and independent cells"
    assert found.attrs["wording"] in str(found.statement.values)
    assert fit_growth(one(), time=one().t.values, group="cell").rate_units.values.tolist()[:2] == ["um^2", "um"]
    assert found.curve.dims == ("time", "law")
    variables = [*found.data_vars.values(), found.time]
    assert all("units" in v.attrs and "long_name" in v.attrs for v in variables)


def test_same_answer_from_dense_dask_and_dataset():
    data = one()
    table = xr.Dataset({"thickness": data, "weight": ("particle", np.ones(data.size))}).rename(t="time")
    close(fitted(data), fit_growth(table, time="time", n_boot=200))
    close(fitted(data), fitted(data.chunk({"particle": 17})))
    before = data.copy(deep=True)
    fitted(data)
    xr.testing.assert_identical(data, before)


def test_second_road_quasi_likelihood_by_a_root_finder():
    """Equal cells, so that all weights are alike: Σ (m/g − 1) ∂ln g/∂θ = 0, solved by scipy."""
    data = draw(np.random.default_rng(5), cells=3, cv_cells=0.1)
    means = data.groupby("cell").mean().values
    t = np.repeat(TIMES, 3)

    def equations(p):
        g2 = p[0] * 1e-2 + p[1] * 1e-4 * t
        pull = (means / np.sqrt(g2) - 1) / (2 * g2)
        return [pull.sum(), (pull * t).sum() / 100]

    solved = root(equations, [0.3, 3.0], tol=1e-12)
    assert solved.success
    found = fitted(data).sel(law="sqrt")
    assert float(found.rate) == pytest.approx(solved.x[1] * 1e-4, rel=1e-6)
    assert float(found.intercept) == pytest.approx(np.sqrt(max(solved.x[0], 0) * 1e-2), rel=1e-6)


def test_second_road_limits_by_direct_maximisation():
    """The censored quasi-likelihood of one set, maximised by a general minimiser on its own formula."""
    from scipy.optimize import minimize
    from scipy.stats import gamma

    rng = np.random.default_rng(6)
    t = np.repeat(TIMES, 4)
    m = np.sqrt(D0**2 + K * t) * (1 + 0.1 * rng.standard_normal(t.size))
    below = t == 10
    m = np.where(below, 0.09, m)
    v = np.full(t.size, 0.01)

    def loss(p):
        g = np.sqrt(np.maximum(p[0] * 1e-2 + p[1] * 1e-4 * t, 1e-8))
        seen = 2 * (m / g - 1 - np.log(m / g)) / v
        return np.where(below, -2 * gamma.logcdf(m / g, 100, scale=0.01), seen).sum()

    best = minimize(loss, [0.3, 4.0], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12, "maxiter": 4000})
    found = fit_sets(curves_of("sqrt", t), t, m[None], below[None], v)
    assert found.deviance[0] == pytest.approx(best.fun, abs=1e-6)
    assert curves_of("sqrt", t).parameters(found.theta)["rate"][0] == pytest.approx(best.x[1] * 1e-4, rel=1e-4)


@pytest.mark.parametrize("law", LAWS)
def test_slopes_of_the_curves_are_those_of_differences(law):
    curves = Curves(law, 10.0, 400.0, 10.0)
    theta = np.array([[-2.5, -1.0, *([] if law in ("sqrt", "linear") else [{"power": 0.7, "logarithmic": -1.5}[law]])]])
    _, slopes = curves.log_curve(TIMES, theta)
    for i in range(theta.shape[1]):
        step = np.zeros_like(theta)
        step[0, i] = 1e-6
        difference = (curves.log_curve(TIMES, theta + step)[0] - curves.log_curve(TIMES, theta - step)[0]) / 2e-6
        np.testing.assert_allclose(slopes[0, :, i], difference[0], atol=1e-7)


def test_bootstrap_sets_are_fitted_as_one_by_one():
    rng = np.random.default_rng(8)
    t = np.repeat(TIMES, 3)
    means = np.sqrt(D0**2 + K * t) * (1 + 0.15 * rng.standard_normal((6, t.size)))
    none, v = np.zeros(means.shape, bool), np.full(t.size, 0.02)
    for law in LAWS:
        curves = curves_of(law, t)
        together = fit_sets(curves, t, means, none, v)
        single = [fit_sets(curves, t, m[None], none[:1], v).deviance[0] for m in means]
        np.testing.assert_allclose(together.deviance, single, rtol=1e-8)


@pytest.mark.parametrize("limit", [None, 0.09])
def test_the_square_root_law_alone_is_that_of_the_whole(limit):
    data = one()
    upper_limit = None if limit is None else np.where(np.arange(data.size) % 10 == 0, limit, np.nan)
    kept = data if limit is None else data.where(data.t > 10)
    whole = fit_growth(kept, time="t", group="cell", n_boot=150, upper_limit=upper_limit).sel(law="sqrt")
    low, high, start = root_law(kept, n_boot=150, upper_limit=upper_limit)
    np.testing.assert_array_equal([low, high, start], [whole.rate_low, whole.rate_high, whole.curve[0]])


def test_intervals_cover_with_and_without_scatter_of_cells():
    """60 draws each, 95 %: fewer than 52 hits has probability 0.003."""
    rng = np.random.default_rng(9)
    for cells, scatter in ((5, 0.0), (5, 0.1), (1, 0.1)):
        hits = 0
        for _ in range(60):
            low, high, _ = root_law(draw(rng, cells=cells, cv_cells=scatter), n_boot=300)
            hits += bool(low < K < high)
        assert hits >= 52, (cells, scatter, hits)


def test_limits_take_part():
    """Half of the first cells lie below the limit of 70 nm. Dropped, the curve starts too high there; with limits it does not."""
    rng = np.random.default_rng(10)
    dropped, used = [], []
    for _ in range(30):
        data = draw(rng, cells=4, cv_cells=0.25, curve=lambda t: np.sqrt(K * t))
        mean = data.groupby("cell").mean().values[data.cell.values]
        kept = data.where(mean > 0.07)
        first = np.arange(data.size) % 10 == 0
        limit = np.where((mean <= 0.07) & first, 0.07, np.nan)
        for found, options in ((dropped, {}), (used, {"upper_limit": limit})):
            _, _, at_first = root_law(kept, n_boot=100, at=10.0, **options)
            found.append(at_first / np.sqrt(K * 10.0) - 1)
    assert np.mean(dropped) > 0.08  # some 0.27 of relative scatter, and only the upper half of it seen
    assert abs(np.mean(used)) < np.mean(dropped) / 2
    whole = fit_growth(kept, time="t", group="cell", n_boot=100, law="sqrt", upper_limit=limit)
    assert int(whole.n_limits) > 0


def test_a_limit_far_above_the_curve_changes_nothing():
    data = one()
    more = xr.concat([data, data[:1] * np.nan], "particle").assign_attrs(units="um")
    cell = np.append(data.cell.values, 99)
    limit = np.append(np.full(data.size, np.nan), 5.0)
    found = fit_growth(more, time="t", group=cell, upper_limit=limit, n_boot=200)
    np.testing.assert_allclose(found.rate, fitted(data).rate, rtol=1e-6)
    assert int(found.n_limits) == 1
    assert float(found.cell_upper_limit.sel(cell="99")) == 5.0


def test_stated_errors_only_add():
    """Errors that go with the thickness must not pull the rate down, as they do when they are the weights."""
    data = draw(np.random.default_rng(11), cells=8)
    plain = fitted(data).sel(law="sqrt")
    with_sd = fitted(data, sd=0.15 * data.values).sel(law="sqrt")
    assert float(with_sd.rate) == pytest.approx(float(plain.rate), rel=0.005)
    assert float(with_sd.cv_particles) == pytest.approx(np.sqrt(float(plain.cv_particles) ** 2 - 0.15**2), rel=0.05)
    own = np.average(data.values**2 - D0**2, weights=1 / (0.15 * data.values) ** 4)
    assert own < np.mean(data.values**2 - D0**2)


def test_weights_are_those_of_the_perimeter():
    data = one()
    weight = np.where(np.arange(data.size) % 10 < 5, 1.0, 1e-9)
    kept = data[np.arange(data.size) % 10 < 5]
    np.testing.assert_allclose(fitted(data, weight=weight).rate, fitted(kept).rate, rtol=1e-5)
    np.testing.assert_allclose(fitted(data, weight=np.full(data.size, 3.0)).rate_low, fitted(data).rate_low, rtol=1e-9)


def test_cells_left_unnamed_and_one_cell_are_said():
    data = one().drop_vars("cell")
    by_time = fit_growth(data, time="t", n_boot=200)
    assert "No cells were named: entries of one time count as one cell." in str(by_time.statement.values)
    assert int(by_time.n_cells) == 5
    width = [float((f.rate_high - f.rate_low).sel(law="sqrt")) for f in (by_time, fitted(one()))]
    assert width[0] > width[1]
    alone = fit_growth(data, time="t", group=np.zeros(data.size), n_boot=200)
    assert "One cell: the interval holds within this section, not for other cells." in str(alone.statement.values)


def undetermined(found, reason):
    assert str(found.statement.values) == f"Undetermined: {reason}."
    law = str(found.preferred.values)
    rows = found if law == "undetermined" else found.sel(law=law)
    for name in ("rate_low", "rate_high", "rate_sd", "intercept_low"):
        assert np.isnan(rows[name].values).all()


def test_one_time_point_is_undetermined():
    data = one()
    found = fitted(data[data.t == 50])
    undetermined(found, "thickness is measured at one time only; a rate needs at least 2")
    assert np.isnan(found.rate.values).all()
    undetermined(
        fitted(data[data.t == 50].assign_coords(t=data.t[data.t == 50] * 0)),
        "thickness is measured at one time only; a rate needs at least 2",
    )


def test_one_particle_and_all_equal_are_undetermined():
    data = one()
    found = fitted(data[[0, -1]])
    undetermined(found, "2 cells for 2 parameters leave no scatter to measure")
    assert float(found.rate.sel(law="sqrt")) == pytest.approx(float(data[-1] ** 2 - data[0] ** 2) / 390, rel=1e-6)
    with pytest.raises(SsbmapsError, match="1 of 1 thicknesses are usable; expected at least 2"):
        fitted(data[:1])
    reason = "the thicknesses do not scatter at all about the curve, so that nothing tells how far to trust it"
    equal = fitted(data.copy(data=np.full(data.size, 0.2)))
    undetermined(equal, reason)
    np.testing.assert_allclose(equal.rate.sel(law=["sqrt", "linear"]), 0, atol=1e-9)
    undetermined(fitted(data.copy(data=np.sqrt(D0**2 + K * data.t.values))), reason)


def test_more_parameters_than_times_or_cells():
    data = one()
    undetermined(fitted(data[data.t > 100], law="power"), "2 times for the 3 parameters of the law")
    three = data[np.isin(data.cell, [0, 10, 24])]
    undetermined(fitted(three, law="power"), "3 cells for 3 parameters leave no scatter to measure")
    assert np.isfinite(float(fitted(three).rate_low.sel(law="sqrt")))


def test_no_growth_and_wrong_law_are_said():
    flat = draw(np.random.default_rng(12), curve=lambda t: 0.2 + 0 * t, cv_cells=0.1)
    assert "Growth is not distinguishable from none." in str(fitted(flat).statement.values)
    text = str(fitted(draw(np.random.default_rng(13), cells=20), law="linear").statement.values)
    assert text.startswith("d = d0 + r t: apparent r = ")
    assert "The data speak for another law: sqrt" in text


REFUSED = [
    (lambda d: (d.assign_attrs(units="counts um"), {}), "no length: raw excesses .* Use equivalent_thickness with a declared"),
    (lambda d: (d.assign_attrs(units="nm"), {}), "thickness is in 'nm'; expected 'um'. Convert"),
    (lambda d: (d.drop_attrs(), {}), "thickness has no units; set"),
    (lambda d: (d, {"time": -d.t.values}), r"negative time \(-400\); expected 0 or more"),
    (lambda d: (d, {"time": np.where(d.t == 50, np.nan, d.t)}), "time holds NaN or infinity"),
    (lambda d: (d, {"time": d.t.values[:5]}), r"time has shape \(5,\); expected \(250,\), as thickness"),
    (lambda d: (d, {"time": "age"}), "time='age' is not among t, cell"),
    (lambda d: (d, {"time": d.t.rename(particle="row")}), r"time has dims \('row',\); expected \('particle',\)"),
    (lambda d: (d, {"time": d.t.values.astype(str)}), "time is of type .*; expected numbers"),
    (lambda d: (d, {"sd": np.zeros(d.size)}), "sd of 0 or less"),
    (lambda d: (d, {"sd": d.assign_attrs(units="nm")}), "mixed units: sd is in 'nm', thickness in 'um'"),
    (lambda d: (d, {"upper_limit": d.assign_attrs(units="nm")}), "mixed units: upper_limit is in 'nm'"),
    (lambda d: (d, {"upper_limit": -np.ones(d.size), "thickness": np.nan}), "upper_limit of 0 or less"),
    (lambda d: (d, {"weight": np.zeros(d.size)}), "weight of 0, less or NaN"),
    (lambda d: (d - 1, {"units": "um"}), "negative thickness"),
    (lambda d: (d * 0, {"units": "um"}), "thickness of 0; give what was not found as NaN with an upper_limit"),
    (lambda d: (d / 0, {"units": "um"}), "thickness holds infinity"),
    (lambda d: (d, {"geometry": "round"}), "geometry='round'; expected one of particles, planar"),
    (lambda d: (d, {"law": "cubic"}), "law='cubic'; expected one of sqrt, linear, logarithmic, power"),
    (lambda d: (d, {"n_boot": 3}), "n_boot=3; expected a whole number of at least 100"),
    (lambda d: (d, {"group": np.tile(np.arange(5), 50)}), "cell 0, 1, 2, 3, 4 has several times"),
    (lambda d: (d.values, {}), "thickness is ndarray; expected a DataArray along one dimension"),
    (lambda d: (d.expand_dims("shell"), {}), r"thickness is float64 with dims \('shell', 'particle'\)"),
    (lambda d: (xr.Dataset({"depth": d}), {}), "no variable 'thickness' in the Dataset, it has depth; .*gather_thickness"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_refusals(change, message):
    with np.errstate(divide="ignore"):
        data, options = change(one())
    if "units" in options:
        data = data.assign_attrs(units=options.pop("units"))
    if options.pop("thickness", None) is not None:
        data = xr.concat([data[:5], data[5:] * np.nan], "particle").assign_attrs(units="um")
    with pytest.raises(SsbmapsError, match=message):
        fit_growth(data, **{"time": "t", **options})


def test_all_faults_at_once():
    data = one()
    with pytest.raises(
        SsbmapsError, match=r"4 faults:\n(?s:.*)negative thickness(?s:.*)negative time(?s:.*)sd of 0(?s:.*)weight of 0"
    ):
        fit_growth(
            (data - 0.2).assign_attrs(units="um"), time=data.t.values - 60, sd=np.zeros(data.size), weight=np.zeros(data.size)
        )
    with pytest.raises(SsbmapsError, match=r"2 faults:\n(?s:.*)no length(?s:.*)group='x' is not among"):
        fit_growth(data.assign_attrs(units="counts um"), time="t", group="x")
