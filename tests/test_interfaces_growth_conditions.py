"""Growth compared between conditions, and thicknesses of sections gathered for it: planted differences, nulls, refusals."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import xarray as xr

from ssbmaps import SsbmapsError, synthetic
from ssbmaps.interfaces import compare_growth, fit_growth, fit_interphase, gather_thickness

TIMES = np.array([10.0, 50.0, 100.0, 200.0, 400.0])
K, D0 = 4e-4, 0.05


def draw(rng, *, cells=5, cv_cells=0.1, k=K):
    """Ten particles in each of `cells` cells at each time, 25 % spread: thickness with units, coordinates t (h) and cell."""
    t = np.repeat(TIMES, cells * 10)
    cell = np.repeat(np.arange(len(TIMES) * cells), 10)
    d = np.sqrt(D0**2 + k * t) * (1 + cv_cells * rng.standard_normal(len(TIMES) * cells))[cell] * rng.gamma(16, 1 / 16, len(t))
    coords = {"t": ("particle", t, {"units": "h"}), "cell": ("particle", cell)}
    return xr.DataArray(d, coords, "particle", attrs={"units": "um"})


def two_conditions(rng, second, **options):
    parts = [draw(rng, **options), draw(rng, k=second, **options)]
    n = parts[0].size
    parts[1] = parts[1].assign_coords(cell=parts[1].cell + 1000)
    return xr.concat(parts, "particle").assign_attrs(units="um"), np.repeat(["without", "with"], n)


def test_conditions_are_told_apart_by_the_difference():
    data, condition = two_conditions(np.random.default_rng(14), K / 3, cells=3, cv_cells=0.1)
    found = compare_growth(data, time="t", condition=condition, group="cell")
    assert found.pair.values.tolist() == ["with − without"]
    pair = found.isel(pair=0)
    assert float(pair.difference) == pytest.approx(float(found.rate[1] - found.rate[0]))
    assert float(pair.difference_low) < K / 3 - K < float(pair.difference_high) < 0
    assert int(pair.told_apart) == 1
    assert "with less without" in str(pair.statement.values)
    assert "um²/h, told apart" in str(pair.statement.values)
    assert float(pair.true_difference) == pytest.approx(float(pair.difference) * (np.pi / 4) ** 2)
    alone = fit_growth(data[condition == "with"], time="t", group="cell").sel(law="sqrt")
    assert float(found.rate[1]) == pytest.approx(float(alone.rate), rel=0.02)
    assert found.n_cells.values.tolist() == [15, 15]


def test_alike_conditions_are_rarely_told_apart():
    """40 pairs of alike conditions: more than 6 told apart has probability 0.003 at 5 %."""
    rng = np.random.default_rng(15)
    told = 0
    for _ in range(40):
        data, condition = two_conditions(rng, K, cells=2, cv_cells=0.1)
        found = compare_growth(data, time="t", condition=condition, group="cell", n_boot=300)
        told += int(found.told_apart[0])
    assert told <= 6
    assert ("not told apart" in str(found.statement[0].values)) == (not int(found.told_apart[0]))


def test_one_time_compares_thicknesses():
    data = draw(np.random.default_rng(16), cells=6, cv_cells=0.1)
    at = data[data.t == 100]  # cells 12 to 17
    condition = np.where(at.cell < 15, "pristine", "cycled")
    halved = (at * np.where(condition == "pristine", 0.5, 1.0)).assign_attrs(units="um")
    found = compare_growth(halved, time="t", condition=condition, group="cell")
    assert found.thickness.attrs["units"] == "um"
    means = halved.groupby("cell").mean().values.reshape(2, 3).mean(axis=1)
    np.testing.assert_allclose(found.thickness, means, rtol=0.01)  # cells weigh alike but for their scatter
    assert int(found.told_apart[0]) == 1
    later = compare_growth(halved, time=np.where(condition == "cycled", 300.0, 0.0), condition=condition, group="cell")
    assert "at times 300 and 0" in str(later.statement[0].values)
    few = at[np.isin(at.cell, [12, 13])]
    alone = compare_growth(few, time="t", condition=few.cell.values, group="cell")
    assert str(alone.statement[0].values).startswith("Undetermined: thickness, 13 less 12")
    assert np.isnan(alone.difference_low.values).all()
    assert int(alone.told_apart[0]) == 0


def test_compare_refuses():
    data = draw(np.random.default_rng(7))
    with pytest.raises(SsbmapsError, match="there is one condition, a; expected at least 2"):
        compare_growth(data, time="t", condition=np.full(data.size, "a"))
    with pytest.raises(SsbmapsError, match="condition old has one time only, the others have several"):
        compare_growth(data, time="t", condition=np.where(data.t == 10, "old", "new"))
    with pytest.raises(SsbmapsError, match=r"cell 0, 1, 10.* has several conditions. Cells are taken to be independent"):
        compare_growth(data, time="t", group="cell", condition=np.arange(data.size) % 2)
    with pytest.raises(SsbmapsError, match="law='constant'; expected one of sqrt"):
        compare_growth(data, time="t", condition=np.where(data.t == 10, "old", "new"), law="constant")
    with pytest.raises(SsbmapsError, match="no length"):
        compare_growth(data.assign_attrs(units="counts um"), time="t", condition=np.where(data.t == 10, "old", "new"))


@cache
def sections():
    shells = {"POx": ["PO2-", "PO3-"], "SOx": ["SO2-", "SO3-"]}
    found = {}
    for name, d in (("a", 0.2), ("b", 0.3), ("none", 0.0)):
        section = synthetic.cross_section(
            seed=3, shape=(96, 112), n_scans=2, geometry="disc", thickness=d, layout=synthetic.Layout(fibres=0, voids=0)
        )
        options = {"core": "NiO2-", "shell": shells, "reference_level": 9.0}
        found[name] = fit_interphase(section.counts, section.distance, **options)
    return found


def test_gathered_sections():
    cells = {"a": "c1", "b": "c2", "none": "c0"}
    time = {"a": 100, "b": 200, "none": 0}
    table = gather_thickness(
        sections(), time=time, cell=cells, condition=["cycled", "cycled", "pristine"], shell="POx", time_units="cycles"
    )
    assert table.time.attrs["units"] == "cycles"
    last = table.isel(particle=-1)
    assert [str(last[n].values) for n in ("section", "cell", "condition")] == ["none", "c0", "pristine"]
    assert np.isnan(last.thickness)
    assert float(last.upper_limit) == pytest.approx(float(sections()["none"].upper_limit.sel(shell="POx")))
    own = sections()["a"].sel(shell="POx")
    here = table.section == "a"
    np.testing.assert_allclose(table.thickness[here], own.particle_thickness)
    np.testing.assert_allclose(table.weight[here], own.particle_perimeter)
    planar = {n: r.drop_vars([v for v in r.data_vars if str(v).startswith(("particle", "true_"))]) for n, r in sections().items()}
    whole = gather_thickness(planar, time=[1, 2, 3], shell="POx")
    np.testing.assert_allclose(whole.thickness[:2], [float(planar[n].thickness.sel(shell="POx")) for n in ("a", "b")])
    assert whole.cell.values.tolist() == ["a", "b", "none"]
    found = fit_growth(table, time="time", n_boot=100)
    assert int(found.n_limits) == 1
    assert found.rate_units.values[0] == "um^2/cycles"


def test_gather_refuses():
    some = sections()
    with pytest.raises(SsbmapsError, match="section a has 2 shells; name one of POx, SOx with shell="):
        gather_thickness(some, time=[1, 2, 3])
    with pytest.raises(SsbmapsError, match=r"2 faults:\n(?s:.*)section a has no shell 'X'(?s:.*)time of section a is missing"):
        gather_thickness({"a": some["a"]}, shell="X", time={"c": 1})
    with pytest.raises(SsbmapsError, match="cell has 2 values for 3 sections"):
        gather_thickness(some, time=[1, 2, 3], shell="POx", cell=["x", "y"])
    with pytest.raises(SsbmapsError, match="time='now'; expected one value per section"):
        gather_thickness(some, time="now", shell="POx")
    with pytest.raises(SsbmapsError, match=r"time holds .*; expected a number"):
        gather_thickness(some, time=["1", "2", "3"], shell="POx")
    with pytest.raises(SsbmapsError, match=r"section a: thickness, .* missing; expected what measure_interphase"):
        gather_thickness({"a": xr.Dataset()}, time=[1])
    with pytest.raises(SsbmapsError, match="results is list; expected"):
        gather_thickness(list(some.values()), time=[1, 2, 3])
    flat = some["b"].drop_vars(["true_thickness"])
    with pytest.raises(SsbmapsError, match="some sections are of particles, others planar"):
        gather_thickness({"a": some["a"], "b": flat}, time=[1, 2], shell="POx")
