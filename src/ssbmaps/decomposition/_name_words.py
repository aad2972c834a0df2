"""A component's names in words: what it resembles, and what it cannot be told apart from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssbmaps.decomposition._name_ions import Peak

MARKED = 1.5  # times the share in the sum of all components, from which a peak sets its component apart
SHOWN = 2  # alternatives written out


def component_words(
    peaks: Sequence[Peak], contrast: Sequence[float], best: tuple[str, float, float, float] | None, others: Sequence[str]
) -> str:
    """ "resembles PO2- or PS- (12 %, 8 × the mean), S- (30 %); 20 % of it unnamed", and the nearest reference."""
    named = [_one(p, c) for p, c in zip(peaks, contrast, strict=True) if p.options]
    unnamed = [f"{p.position:.6g} ({_percent(p.share)})" for p in peaks if not p.options]
    parts = [f"resembles {', '.join(named)}"] if named else []
    if unnamed:
        parts.append(f"no candidate at {', '.join(unnamed)}")
    if not peaks and best is None:
        parts.append("resembles a background without known peaks")
    if best is not None:
        parts.append(_reference(best, others))
    return "; ".join(parts)


def _one(peak: Peak, contrast: float) -> str:
    names = [o.name for o in peak.options]
    more = len(names) - 1 - SHOWN
    text = " or ".join(names[: 1 + SHOWN]) + (f" or {more} more" if more > 0 else "")
    mark = f", {contrast:.1f} × the mean" if np.isfinite(contrast) and contrast >= MARKED else ""
    return f"{text} ({_percent(peak.share)}{mark})"


def _reference(best: tuple[str, float, float, float], others: Sequence[str]) -> str:
    name, cosine, low, high = best
    interval: Any = f" [{low:.3f}, {high:.3f}]" if np.isfinite(low) else ""
    text = f"nearest reference {name} (cosine {cosine:.3f}{interval})"
    return text + (f", cannot be told apart from {', '.join(others)}" if others else "")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
