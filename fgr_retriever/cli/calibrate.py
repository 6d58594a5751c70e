"""`fgr calibrate`: fit the threshold to labelled data of one's own, for a model or an index."""

from __future__ import annotations

import sys
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from fgr_retriever.cli.options import AsJson, Device, Model, load_encoder, require_files
from fgr_retriever.cli.output import counted, note, terminal, write_json


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(calibrate)


def calibrate(
    data: Annotated[Path, typer.Argument(help="JSON Lines with query, passage, spans (or annotations), answers.")],
    keep: Annotated[float, typer.Option(min=0, max=1, help="Share of the examples that shall keep an answer.")] = 0.95,
    index: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Store the result in this index: all who open it use it.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a copy of the model here; that of --model changes it in place."),
    ] = None,
    as_json: AsJson = False,
    model: Model = None,
    device: Device = None,
) -> None:
    """Find the highest evidence threshold at which enough answers are kept. Without --index and --out, only say it."""
    from fgr_retriever.evaluation import fit_calibration, read_examples
    from fgr_retriever.index.index import Index
    from fgr_retriever.index.storage.manifest import read_manifest
    from fgr_retriever.model.checkpoint import check_output, save_calibrated
    from fgr_retriever.model.embedded import embedded_model

    require_files(data)
    source = embedded_model() if model is None else Path(model)
    # What cannot be written to shows before the work, not after it.
    if index is not None:
        read_manifest(index)
    if out is not None:
        check_output(source, out)
    encoder = load_encoder(model, device)
    opened = nullcontext() if index is None else closing(Index.open(index, encoder, create=False))
    with opened as target:
        examples = counted(read_examples(data), "examples read")
        fitted = target.calibrated_model() if target else encoder
        report = fit_calibration(fitted, examples, keep, show_progress=sys.stderr.isatty())
        if target:
            target.calibrate(report.after.calibration)
    if out is not None:
        save_calibrated(source, encoder.calibrated(report.after.calibration).head, out)
    written = {"index": index and str(index), "out": out and str(out)}
    if as_json:
        write_json({**report.to_json(), **written})
    else:
        _print(report.to_json())
    _note(index, out)


def _print(report: dict[str, Any]) -> None:
    """Print one row for the calibration before and after, and one column for each measure."""
    title = f"{report['n']} examples, {report['answerable']} with an answer to keep, target {report['keep']:g}"
    table = Table("", *report["before"], title=title, title_justify="left", box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for name in ("before", "after"):
        table.add_row(name, *map(_format, report[name].values()))
    terminal().print(table)


def _format(value: float | str | None) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)


def _note(index: Path | None, out: Path | None) -> None:
    """Say what was written where."""
    if index is not None:
        note(f"stored in {index}: all who open this index now use it")
    if out is not None:
        note(f"model written to {out}: use it with --model {out}")
    if index is None and out is None:
        note("nothing was written: give --index DIR or --out FOLDER to keep this calibration")
