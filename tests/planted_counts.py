"""Counts with three planted components, for the tests of decomposition; run by path, as this folder is no package."""

from __future__ import annotations

import numpy as np
import xarray as xr

NY, NX, K = 14, 19, 40


def planted(counts=200.0, seed=0):
    """Three phases with own spectra in blocks of a 14 × 19 map, 40 channels: abundance (3, y, x), spectra (3, K), counts."""
    rng = np.random.default_rng(seed)
    spectra = rng.gamma(0.25, 1, (3, K))
    spectra /= spectra.sum(axis=1, keepdims=True)
    place = np.zeros((3, NY, NX))
    place[0, :, :8], place[1, :7, 8:], place[2, 7:, 8:] = 1, 0.6, 0.3
    place[:, 5:9, 6:10] = 0.2
    abundance = place * counts
    return abundance, spectra, rng.poisson(np.einsum("cyx,ck->yxk", abundance, spectra))


def cube_of(values, **attrs):
    """A cube (y, x, mz) of counts."""
    coords = {"y": np.arange(values.shape[0]) + 0.5, "x": np.arange(values.shape[1]) + 0.5}
    coords["mz"] = 20.0 + np.arange(values.shape[2])
    return xr.DataArray(values, coords, ("y", "x", "mz"), attrs={"units": "counts", **attrs})


def counts_cube(seed=0):
    """The planted counts as a cube."""
    return cube_of(planted(seed=seed)[2].astype("uint32"))
