"""How every figure looks: type, line widths, colours and journal widths. Applied locally, never globally."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import font_manager

from ssbmaps._errors import SsbmapsError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matplotlib.colors import Colormap

MM_PER_INCH = 25.4
FONT_SIZE = 7.0  # pt, at printed size

# Widths in mm of one and two columns, from the journals' instructions to authors.
JOURNAL_WIDTHS = {"rsc": (83.0, 171.0), "acs": (82.55, 177.8), "elsevier": (90.0, 190.0)}

COUNTS_MAP, SIGNED_MAP = "navia", "vik"  # neither passes through grey, which is kept for missing values
UNMEASURED = "#a6a6a6"
INK = "#1a1a1a"

# Okabe and Ito's palette without its yellow, which is too light for a line on white; the dash repeats after seven.
LINE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINE_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1)))

# Areas beside one another, told apart by hue and by lightness; the first one is "unassigned".
CLASS_COLOURS = (
    *("#FFFFFF", "#4477AA", "#EBCB6B", "#4D4D4D", "#CCDDEE", "#CC6677"),
    *("#228833", "#AA4499", "#88CCEE", "#999933", "#DDAA99"),
)

# Hues of an additive composite of one to four channels, on black. Searched on a grid of colours for the largest distance that
# readers with normal sight, protanopia, deuteranopia and tritanopia (Machado 2009, doi 10.1109/TVCG.2009.113) all see: between
# any two hues at full brightness 68, 37 and 26 (CIEDE2000), between one at full and one at half brightness 46, 18 and 12, and
# the sum of two hues differs from both.
COMPOSITE_HUES: dict[int, tuple[str, ...]] = {
    1: ("#FFFFFF",),
    2: ("#B600DB", "#49FF24"),
    3: ("#DB0024", "#24FFDB", "#9224FF"),
    4: ("#B64900", "#24DB92", "#9249DB", "#DBB6FF"),
}


@lru_cache(maxsize=1)
def _families() -> list[str]:
    """Sans-serif families that this machine has, best first; DejaVu Sans comes with matplotlib."""
    present = set(font_manager.fontManager.get_font_names())
    return [name for name in ("Arial", "Liberation Sans", "DejaVu Sans") if name in present]


def style() -> AbstractContextManager[None]:
    """Context in which figures are made and saved; outside it matplotlib's settings are as before."""
    families = _families()
    settings: Any = {
        **dict(mpl.rcParamsDefault.items()),
        "font.family": families,
        "font.size": FONT_SIZE,
        "axes.titlesize": FONT_SIZE,
        "axes.labelsize": FONT_SIZE,
        "xtick.labelsize": FONT_SIZE,
        "ytick.labelsize": FONT_SIZE,
        "legend.fontsize": FONT_SIZE,
        "mathtext.fontset": "dejavusans" if families[0] == "DejaVu Sans" else "custom",
        "mathtext.rm": families[0],
        "mathtext.it": f"{families[0]}:italic",
        "mathtext.bf": f"{families[0]}:bold",
        "mathtext.cal": families[0],  # never used; the default, "cursive", is missing on many machines and is complained about
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.linewidth": 0.6,
        "lines.linewidth": 1.0,
        "patch.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.labelpad": 2.0,
        "axes.xmargin": 0.0,
        **{f"{axis}tick.{key}": value for axis in "xy" for key, value in _TICKS.items()},
        "legend.frameon": False,
        "legend.handlelength": 1.6,
        "legend.columnspacing": 1.2,
        "legend.borderpad": 0.0,
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "ssbmaps",
        "savefig.bbox": None,
        "savefig.pad_inches": 0.0,
    }
    for key in ("backend", "interactive", "toolbar", "timezone"):
        settings.pop(key, None)
    return mpl.rc_context(settings)


_TICKS = {"major.size": 2.2, "minor.size": 1.2, "major.width": 0.6, "minor.width": 0.4, "major.pad": 1.6}


def colour_map(name: str) -> Colormap:
    """One of Crameri's colour maps (doi 10.5281/zenodo.1243862), or one of matplotlib's, with grey for missing values."""
    from cmcrameri import cm as crameri

    known: dict[str, Colormap] = crameri.cmaps
    if name not in known and name not in mpl.colormaps:
        raise SsbmapsError(
            f"figures: colour map {name!r} is unknown; expected a Crameri map such as {COUNTS_MAP!r}, {SIGNED_MAP!r} or "
            "'batlow', or a matplotlib one."
        )
    return (known[name] if name in known else mpl.colormaps[name]).with_extremes(bad=UNMEASURED)


def journal_width(journal: str, columns: int) -> float:
    """Width in mm of a figure over `columns` columns of `journal`."""
    key = journal.lower() if isinstance(journal, str) else journal
    if key not in JOURNAL_WIDTHS or columns not in (1, 2):
        raise SsbmapsError(
            f"figures.save: journal {journal!r} with columns={columns!r}; expected "
            f"journal {', '.join(map(repr, JOURNAL_WIDTHS))} and columns 1 or 2."
        )
    return JOURNAL_WIDTHS[key][columns - 1]
