"""Whole runs: from files to results, figures and a page. The demo is the first of them."""

from __future__ import annotations

from ssbmaps.study._demo import demo

__all__ = ["demo"]
