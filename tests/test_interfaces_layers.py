"""Planar stacks: planted layers recovered by counts and by SAM signals, absent ones not found, wrong input refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ssbmaps import SsbmapsError, io, synthetic
from ssbmaps.interfaces import fit_layers
from ssbmaps.interfaces._scoring import Counts
from ssbmaps.interfaces._shapes import stack
from ssbmaps.interfaces._stack_fit import _segments, fit_stack

NAMES = ("LCO", "Li-rich", "LiPON", "Li")
LEVELS = {
    "LCO": {"Li KLL": 60.0, "O KLL": 500.0},
    "Li-rich": {"Li KLL": 300.0, "O KLL": 350.0, "P LVV": 60.0},
    "LiPON": {"Li KLL": 120.0, "O KLL": 300.0, "P LVV": 350.0},
    "Li": {"Li KLL": 600.0, "O KLL": 30.0},
}


def _sam(seed, thickness=0.12, angle=20.0):
    layout = synthetic.Layout(layers=(("LCO", 2.0), ("Li-rich", thickness), ("LiPON", 1.2), ("Li", 2.0)), angle=angle)
    section = synthetic.cross_section(
        seed=1, shape=(80, 72), n_scans=1, geometry="planar", thickness=0, layout=layout, levels={n: {} for n in NAMES}
    )
    view = {"pixel_size": 0.04, "shape": (130, 110), "rotation": 0, "scale": 1, "shift": (0, 0)}
    sam = synthetic.sam_maps(section, seed=seed, lines=("Li KLL", "P LVV", "O KLL"), levels=LEVELS, **view)
    y, x = (sam[d] - float(sam[d].mean()) for d in ("y", "x"))
    along = y * np.cos(np.radians(angle)) + x * np.sin(np.radians(angle)) + (thickness + 1.2) / 2
    signal = (sam.peak.astype(float) - sam.background).assign_attrs(units="counts")
    return signal, (sam.peak + sam.background).astype(float), along.transpose("y", "x").assign_attrs(units="um")


def test_a_thin_layer_in_sam_signals_with_background():
    pulls = []
    for seed in range(5):
        signal, variance, along = _sam(seed)
        found = fit_layers(signal, along, layers=NAMES, likelihood="gaussian", variance=variance)
        assert found.layer.values.tolist() == ["Li-rich", "LiPON"]
        assert found.above_noise.values.tolist() == [1, 1]
        thin = found.sel(layer="Li-rich")
        pulls.append((float(thin.thickness) - 0.12) / float(thin.thickness_sd))
        assert float(found.thickness.sel(layer="LiPON")) == pytest.approx(1.2, abs=0.02)
    assert np.abs(pulls).max() < 3.5
    assert float(found.sigma) == pytest.approx(np.hypot(0.06 / 2.3548, 0.04 / np.sqrt(12)), rel=0.1)
    for phase, row in LEVELS.items():
        for line, level in row.items():
            if phase != "Li-rich":
                assert float(found.level.sel(line=line, phase=phase)) == pytest.approx(level, abs=8)
    assert found.edge.values.tolist() == ["LCO | Li-rich", "Li-rich | LiPON", "LiPON | Li"]
    np.testing.assert_allclose(found.position, [0, 0.12, 1.32], atol=0.02)
    assert "Thickness of Li-rich in this section: " in str(found.statement.values[0])


def test_a_layer_that_is_not_there_is_not_found():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(10):
        x = np.arange(-2, 2, 0.1) + 0.05
        means = np.where(x < 0, 20.0, 2.0)
        counts = xr.DataArray(
            rng.poisson(np.broadcast_to(means, (60, 40))),
            {"y": (np.arange(60) + 0.5) * 0.1, "x": x},
            ("y", "x"),
            attrs={"units": "counts"},
        )
        along = xr.DataArray(np.broadcast_to(x, (60, 40)), counts.coords, ("y", "x"), attrs={"units": "um"})
        found = fit_layers(counts, along, layers=["core", "between", "out"])
        hits += int(found.above_noise.item())
        assert bool(np.isnan(found.thickness.item())) == (found.resolved.item() == 0)
    assert hits <= 1


def test_the_split_is_the_best_of_all():
    """Brute force: every pair of edges."""
    rng = np.random.default_rng(1)
    s = np.arange(40.0)
    total = rng.poisson(np.select([s < 13, s < 22], [4.0, 11.0], 6.0))[None].astype(float)
    data = Counts(s, np.ones(40), total, np.array([0]), np.array([np.inf]))
    found = _segments(data, 3, 1)
    weight = data.observed()[1][0]

    def cost(a, b):
        w, v = weight[a:b], total[0, a:b]
        return (w * (v - np.average(v, weights=w)) ** 2).sum()

    best = min(((cost(0, i) + cost(i, j) + cost(j, 40)), i, j) for i in range(1, 39) for j in range(i + 1, 40))
    np.testing.assert_array_equal(found, [s[best[1]], s[best[2]]])


def test_noise_free_stack_of_five():
    s = np.arange(-3, 5, 0.02)
    geometry = np.array([-1.0, 0.12, 0.5, 1.5, 0.4])
    levels = np.array([[20.0, 5, 12, 3, 9], [1.0, 8, 2, 6, 30]])
    mean = np.einsum("cj,jb->cb", levels, stack(5).weights(s, geometry)[0][0])
    found = fit_stack(Counts(s, np.full(s.size, 40.0), 40 * mean, np.array([0, 0]), np.full(2, np.inf)), 5, 0.1)
    np.testing.assert_allclose(found.fit.geometry, geometry, atol=1e-3)
    assert found.found == [True] * 3
    assert all(i.low < d < i.high for i, d in zip(found.intervals, geometry[2:], strict=True))


def test_contract_and_refusals(tmp_path):
    layout = synthetic.Layout(layers=(("NMC", 2.0), ("carbon", 0.5), ("electrolyte", 2.0)))
    section = synthetic.cross_section(shape=(64, 48), n_scans=2, geometry="planar", thickness=0, layout=layout)
    found = fit_layers(
        section.counts, section.distance, layers=["NMC", "carbon", "electrolyte"], channels=["NiO2-", "C2-", "S-"], shots=25
    )
    assert found.level.dims == ("fragment", "phase")
    assert found.attrs["history"].splitlines()[-1].startswith("ssbmaps.interfaces.fit_layers")
    assert float(found.thickness_low[0]) < 0.5 < float(found.thickness_high[0])
    io.save(found, tmp_path / "stack.nc")
    xr.testing.assert_identical(io.load(tmp_path / "stack.nc"), found)
    flipped = fit_layers(section.counts.transpose("x", "y", ...), section.distance.T, layers=["NMC", "carbon", "electrolyte"])
    assert float(flipped.thickness_low[0]) < 0.5 < float(flipped.thickness_high[0])
    with pytest.raises(SsbmapsError, match="layers='NMC'; expected two names or more"):
        fit_layers(section.counts, section.distance, layers="NMC")
    with pytest.raises(SsbmapsError, match="fragment Xe- not in the maps"):
        fit_layers(section.counts, section.distance, layers=["a", "b"], channels="Xe-")
    few = xr.zeros_like(section.distance, dtype=bool)
    few[3, :20] = True
    with pytest.raises(SsbmapsError, match="20 pixels are left; expected at least 50"):
        fit_layers(section.counts, section.distance, layers=["a", "b"], where=few)
    with pytest.raises(SsbmapsError, match="more counts than its 2 shots"):
        fit_layers(section.counts, section.distance, layers=["a", "b"], shots=1)
