"""The `ssbmaps` command: demo, info, formats, convert. Thin: every verb calls one public function."""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssbmaps import __version__
from ssbmaps._errors import DataQualityWarning, SsbmapsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Maps of solid-state-battery cross-sections: from instrument file to profiles and figures.",
    epilog="Exit codes: 0 done, 1 the input cannot be used (why is printed), 2 the command line is wrong, 3 a fault of ssbmaps.",
)

Source = Annotated[Path, typer.Argument(metavar="FILE", help="An instrument file; `ssbmaps formats` lists what is read.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is already there.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ssbmaps {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="On an error, show the whole traceback.")] = False,
) -> None:
    """Options that stand before every verb; `main` has already acted on them."""


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("ssbmaps-demo"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the synthetic section.")] = 0,
    size: Annotated[int, typer.Option(min=128, max=1024, help="Pixels along each side.")] = 256,
    force: Force = False,
) -> None:
    """Analyse a synthetic section end to end.

    Writes an imzML file, reads it back, and makes maps, NMF components, the profile across the interface, and an HTML page.
    """
    from ssbmaps.study import demo as run

    with _progress("demo") as report:
        page = run(output, seed=seed, size=size, overwrite=force, report=report)
    typer.echo(f"Open {page} in a browser.")


@app.command()
def info(
    file: Source,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what a file holds (headers only)."""
    from ssbmaps import io

    facts = io.info(file)
    if json:
        from json import dumps

        typer.echo(dumps(facts, indent=2, ensure_ascii=False))
        return
    width = max(len(key) for key in facts)
    for key, value in facts.items():
        typer.echo(f"{key.replace('_', ' '):<{width}}  {_words(value)}")


@app.command()
def formats(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the formats read and written."""
    from ssbmaps import io

    rows = io.formats()
    if json:
        from json import dumps

        typer.echo(dumps(rows, indent=2, ensure_ascii=False))
        return
    table = [("format", "technique", "reads", "writes", "extensions")]
    table += [(r["name"], str(r["technique"]), _words(r["reads"]), _words(r["writes"]), " ".join(r["extensions"])) for r in rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        typer.echo("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())


@app.command()
def convert(
    file: Source,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Where to write, e.g. NAME.zarr.")],
    pixel_size: Annotated[
        str | None, typer.Option(metavar="UM", help="Pixel size in um, a number or 'Y,X', where the file has none.")
    ] = None,
    tilt: Annotated[float | None, typer.Option(help="Angle in degrees under which a milled face was seen.")] = None,
    mz_bin: Annotated[str | None, typer.Option(help="Bin the mass axis: 0.01 (Da) or '50 ppm'.")] = None,
    mz_range: Annotated[tuple[float, float] | None, typer.Option(help="Masses kept, Da: low included, high excluded.")] = None,
    laser: Annotated[float | None, typer.Option(metavar="NM", help="Laser line of a Raman map, where the file has none.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Which dataset, where a file holds several.")] = None,
    reader: Annotated[str | None, typer.Option(help="Name of the reader, where the file is not recognised.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave damaged spectra out and say how many.")] = False,
    force: Force = False,
) -> None:
    """Read a file, write another: Zarr and netCDF keep everything, other formats what they can hold.

    OUT ends in .zarr, .nc, .imzML, .ome.tif, .tif (ImageJ), .csv, .parquet, .hspy or .zspy.
    """
    from ssbmaps import io

    options: dict[str, Any] = {"mz_bin": _number_or_text(mz_bin), "mz_range": mz_range, "laser": laser}
    options = {k: v for k, v in options.items() if v is not None}
    with _progress("convert") as report:
        report("reading", 0.0)
        cube = io.read(
            file, reader=reader, dataset=dataset, pixel_size=_pixel_size(pixel_size), tilt=tilt, skip_bad=skip_bad, **options
        )
        report("writing", 0.6)
        path = io.save(cube, out, overwrite=force)
    typer.echo(f"{path}: {', '.join(f'{d} {n}' for d, n in cube.sizes.items())}, {cube.attrs['units']}")


def _number_or_text(text: str | None) -> float | str | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text


def _pixel_size(text: str | None) -> float | tuple[float, float] | None:
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise typer.BadParameter(f"expected a number or 'Y,X' in um, got {text!r}", param_hint="--pixel-size")
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def _words(value: Any) -> str:
    """A value as a person would write it: no brackets, 'not stated' for what is missing."""
    if value is None:
        return "not stated"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{k} {_words(v)}" for k, v in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(_words(v) for v in value) or "none"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str, float], None]]:
    """A progress bar on a terminal, nothing in a pipe: yields report(step, fraction done)."""
    if not sys.stderr.isatty():
        yield _say_nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda step, done: bar.update(task, description=step, completed=done)


def _say_nothing(_step: str, _done: float) -> None:
    """The progress of a command in a pipe."""


def _say_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, DataQualityWarning):
        typer.echo(f"ssbmaps: note: {message}", err=True)


def main(argv: list[str] | None = None) -> None:
    """Run the command: errors as letters without traceback, and an exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [w for w in words if w != "--debug"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", DataQualityWarning)
            warnings.showwarning = _say_warning
            app(words, prog_name="ssbmaps")
    except (SsbmapsError, OSError) as error:
        if debug:
            raise
        _leave(1, _os_words(error) if isinstance(error, OSError) else str(error))
    except Exception as error:
        if debug:
            raise
        _leave(3, f"unexpected {type(error).__name__}: {error}. This is a fault of ssbmaps; --debug shows where.")


def _os_words(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)


def _leave(code: int, text: str) -> None:
    typer.echo(f"ssbmaps: {text}", err=True)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
