"""Evidence on the number of components of the default section, beside what its noise-free counts hold.

python benchmarks/decomposition_rank.py [maps cube]

Every draw is kept in benchmarks/draws/ as it is made, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from _interphase_draws import gather
from _results import put_section, run_parts, table

BINNINGS = (2, 4)
METHODS = ("poisson-scaled", "anscombe", "held-out", "stability")


def command(part: str) -> str:
    return f"python benchmarks/decomposition_rank.py {part}"


def expected_values(section: Any, width: int) -> Any:
    """Noise-free counts (blocks, fragments) times the gain: what the planted phases emit, before dead time and drift."""
    clean = (section["ideal"] * section["gain"]).transpose("fragment", "y", "x").values
    n, ny, nx = clean.shape
    return clean.reshape(n, ny // width, width, nx // width, width).sum(axis=(2, 4)).reshape(n, -1).T


def planted(clean: Any, counts: Any) -> tuple[int, int]:
    """How many singular values of the noise-free counts, scaled as the measured ones are, noise lets be seen, and be kept.

    A planted singular value s comes out of noise of variance 1 as √((s² + m)(s² + n)) / s if s⁴ > m n, and is lost otherwise
    (Benaych-Georges and Nadakuditi, J. Multivar. Anal. 111 (2012) 120, doi 10.1016/j.jmva.2012.04.019).
    """
    from scipy.sparse import csr_array

    from ssbmaps.decomposition._rank_edges import balanced, edge, worth_keeping

    full = counts.sum(axis=1) > 0
    m, n = counts[full].shape
    u, v = balanced(csr_array(counts[full]))
    s = np.linalg.svd(np.sqrt(u)[:, None] * clean[full] * np.sqrt(v), compute_uv=False)
    s = s[s**4 > m * n]
    seen = np.sqrt((s**2 + m) * (s**2 + n)) / s
    return int(np.sum(seen > edge(m, n))), int(np.sum(seen > worth_keeping(m, n)))


def row_of(found: Any, width: int) -> dict[str, Any]:
    one = found.sel(binning=width)
    row = {m: int(one["suggested"].sel(evidence=m)) for m in METHODS}
    row |= {f"{m} valid": int(one["valid"].sel(evidence=m)) for m in METHODS}
    excess = one["deviance_excess"].values
    row |= {"detected": int(one["detected"].sel(scaling="poisson-scaled")), "excess": excess.tolist(), "binning": width}
    row["values"] = one["singular_value"].sel(scaling="poisson-scaled").values.tolist()
    return row


def maps_work(seed: int) -> list[dict[str, Any]]:
    from ssbmaps import decomposition, synthetic

    section = synthetic.cross_section(seed=seed)
    counts = section["counts"].sum("scan").astype("int64").assign_attrs(units="counts")
    found = decomposition.rank(counts, max_components=7, binnings=BINNINGS, n_splits=3, n_repeats=2)
    rows = []
    for width in BINNINGS:
        blocks = counts.coarsen(y=width, x=width).sum().transpose("y", "x", "fragment").values.reshape(-1, 9).astype(float)
        seen, kept = planted(expected_values(section, width), blocks)
        rows.append({**row_of(found, width), "planted seen": seen, "planted kept": kept})
    return rows


def cube_work(seed: int) -> list[dict[str, Any]]:
    from ssbmaps import decomposition, synthetic

    cube = synthetic.spectrum_cube(synthetic.cross_section(seed=seed))
    found = decomposition.rank(cube, max_components=7, binnings=BINNINGS, n_splits=3, n_repeats=2)
    return [row_of(found, width) for width in BINNINGS]


def lines(rows: list[dict[str, Any]]) -> list[list[object]]:
    """One line per binning: how often each method said which number."""
    out: list[list[object]] = []
    for width in BINNINGS:
        own = [r for r in rows if r["binning"] == width]
        names = [n for n in ("planted seen", "planted kept", "detected", *METHODS) if n in own[0]]
        cells = []
        for name in names:
            values = [r[name] if r.get(f"{name} valid", 1) else None for r in own]
            kinds = sorted({v for v in values if v is not None}) + ([None] if None in values else [])
            cells.append(", ".join(f"{'no answer' if k is None else k} ({values.count(k)})" for k in kinds))
        out.append([f"{width} × {width}", len(own), *cells])
    return out


HEAD = ["binning", "sections", "above noise", "Poisson-scaled", "Anscombe", "held-out", "stability"]


def maps() -> None:
    """Maps of the nine fragments."""
    rows = gather("rank_maps", maps_work, [(71_000 + s,) for s in range(4)])
    head = [*HEAD[:2], "planted above noise", "planted worth keeping", *HEAD[2:]]
    fourth = {w: np.median([r["values"][3:6] for r in rows if r["binning"] == w], axis=0).round(2).tolist() for w in BINNINGS}
    body = table(head, lines(rows)) + (
        "\n\nNumber of components (in how many sections). Planted: NMC, electrolyte, carbon and interphase have spectra of their "
        "own. A void emits a twentieth of the electrolyte's, and the inner shell (SOx, 80 nm) is nowhere without the outer one: "
        "the noise-free counts hold that fifth singular value just above what noise allows to be seen, and below what a map of "
        "its own needs (columns 3 and 4, from the planted counts alone). Fourth to sixth measured singular value in units of the "
        f"noise edge, median: {', '.join(map(str, fourth[2]))} at 2 × 2 and {', '.join(map(str, fourth[4]))} at 4 × 4. "
        "512² pixels, 20 scans."
    )
    put_section("Rank: fragment maps of the default section", command("maps"), body)


def cube() -> None:
    """The same sections as spectra of 18,145 native channels."""
    rows = gather("rank_cube", cube_work, [(72_000 + s,) for s in range(2)])
    body = table(HEAD, lines(rows)) + (
        "\n\nThe chemical background of the spectra (0.05 counts per pixel and Da) is a component of its own where little else "
        "is emitted, in voids: planted are five. Spread over 18,145 channels it lies below the noise; Anscombe's transform sums "
        "neighbouring channels first, and sees it."
    )
    put_section("Rank: spectra of the default section", command("cube"), body)


if __name__ == "__main__":
    run_parts({"maps": maps, "cube": cube})
