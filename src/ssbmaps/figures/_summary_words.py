"""The numbers of a measured interphase as the summary lists them: label and value, in the order of reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ssbmaps.figures._labels import unit_label

if TYPE_CHECKING:
    import xarray as xr


def numbers_of(one: xr.Dataset) -> list[tuple[str, str]]:
    """Label and value of what stands behind the statement, as far as the result of one shell holds it."""
    rows = [(label, _interval(one, name)) for label, name in _LENGTHS]
    rows.append(("upper limit (95 %)", _nm(_value(one, "upper_limit"))))
    units = unit_label(str(one["excess"].attrs.get("units", "")).removesuffix(" um")) if "excess" in one else ""
    excess, error = _value(one, "excess"), _value(one, "excess_sd")
    rows.append(("excess", _with_error(excess, error, f"{units}·µm per pixel")))
    rows.append(("interface used", _length(one)))
    sigma, error = 1e3 * _value(one, "sigma"), 1e3 * _value(one, "sigma_sd")
    rows.append(("width of the edges, σ", _with_error(sigma, error, "nm")))
    rows.append(("model", _model(one)))
    rows.append(("likelihood ratio, shell", _number(_value(one, "likelihood_ratio"))))
    rows.append(("likelihood ratio, thickness", _number(_value(one, "thickness_ratio"))))
    rows.append(
        ("left unexplained", _share(_value(one, "misfit"), ", model rejected" if _value(one, "model_rejected") == 1 else ""))
    )
    rows.append(("dispersion of the counts", _number(_value(one, "dispersion"))))
    rows += [(f"ions of the {part} agree", _probability(one, f"{part}_consistency_p")) for part in ("shell", "core")]
    return [(label, value) for label, value in rows if value]


_LENGTHS = (
    ("apparent thickness", "thickness"),
    ("true thickness (isotropic)", "true_thickness"),
    ("equivalent thickness", "equivalent_thickness"),
)


def _value(one: xr.Dataset, name: str) -> float:
    return float(one[name]) if name in one else float("nan")


def _interval(one: xr.Dataset, name: str) -> str:
    value, low, high = (1e3 * _value(one, f"{name}{suffix}") for suffix in ("", "_low", "_high"))
    if not np.isfinite(value):
        return ""
    return f"{value:.0f} nm" + (f" [{low:.0f}, {high:.0f}]" if np.isfinite([low, high]).all() else "")


def _nm(value: float) -> str:
    return f"{1e3 * value:.0f} nm" if np.isfinite(value) else ""


def _number(value: float) -> str:
    return f"{value:.{0 if abs(value) >= 100 else 2}f}" if np.isfinite(value) else ""


def _with_error(value: float, error: float, unit: str) -> str:
    """Value and standard error to the first digit of the error, two where that is a 1."""
    if not np.isfinite(value):
        return ""
    if not (np.isfinite(error) and error > 0):
        return f"{value:.3g} {unit}"
    digits = max(0, int(np.ceil(-np.log10(error))) + (f"{error:e}"[0] == "1"))
    return f"{value:.{digits}f} ± {error:.{digits}f} {unit}"


def _share(value: float, more: str) -> str:
    return f"{value:.1%} of the step{more}" if np.isfinite(value) else ""


def _probability(one: xr.Dataset, name: str) -> str:
    p = _value(one, name)
    return "" if not np.isfinite(p) else "p < 0.001" if p < 1e-3 else f"p = {p:.2g}"


def _length(one: xr.Dataset) -> str:
    length, contact = _value(one, "interface_length"), _value(one, "contact")
    share = f", {contact:.0%} of the edge" if np.isfinite(contact) else ""
    return f"{length:.0f} µm{share}" if np.isfinite(length) else ""


def _model(one: xr.Dataset) -> str:
    name = str(one["model"].values)
    others = [n for n in str(one["models_alike"].values).split() if n != name] if "models_alike" in one else []
    return name + (f" (as good: {', '.join(others)})" if others else "")
