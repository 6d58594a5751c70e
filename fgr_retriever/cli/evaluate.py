"""`fgr eval spans` and `fgr eval retrieval`: measure a model on labelled data."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fgr_retriever.cli.files import require_files
from fgr_retriever.cli.options import AsJson, Device, Model, load_encoder
from fgr_retriever.cli.output import counted, note, terminal, write_json
from fgr_retriever.config import TrimConfig, Unit

if TYPE_CHECKING:
    from fgr_retriever.types import TokenEncoder

Nbits = Annotated[
    int | None,
    typer.Option(
        help="Pass the passages' vectors through a residual codec of 1, 2, 4 or 8 bits, as an index stores them."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the group of commands of this module."""
    group = typer.Typer(help="Measure a model on labelled data.", no_args_is_help=True)
    group.command()(spans)
    group.command()(retrieval)
    app.add_typer(group, name="eval")


def spans(
    file: Annotated[Path, typer.Argument(help="JSON Lines with query, passage, spans (or annotations), answers.")],
    as_json: AsJson = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only this many examples.")] = None,
    unit: Annotated[Unit | None, typer.Option(help="What evidence grows to.")] = None,
    nbits: Nbits = None,
    model: Model = None,
    device: Device = None,
) -> None:
    """Score evidence spans, word by word, beside keeping everything and the best sentence."""
    from fgr_retriever.evaluation import evaluate_spans, read_examples

    require_files(file)
    examples = counted(islice(read_examples(file), limit), "examples read")
    passages = (example.passage for example in islice(read_examples(file), limit))
    encoder = _load(model, device, nbits, passages)
    config = TrimConfig(unit=unit or TrimConfig().unit)
    report = evaluate_spans(encoder, examples, config).to_json()
    if as_json:
        return write_json(report)
    measures = {key: value for key, value in report.items() if key not in ("n", "threshold", "floors")}
    _print(f"{report['n']} examples, threshold {report['threshold']:.2f}", {"fgr": measures, **report["floors"]})


def retrieval(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="BEIR layout: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv.")
    ],
    as_json: AsJson = False,
    split: Annotated[str, typer.Option(help="Which judgements to use.")] = "test",
    limit_queries: Annotated[int | None, typer.Option(min=1, help="Take only this many queries.")] = None,
    nbits: Nbits = None,
    model: Model = None,
    device: Device = None,
) -> None:
    """Score retrieval and its latency, beside BM25 on the same text."""
    from fgr_retriever.evaluation import evaluate_retrieval
    from fgr_retriever.evaluation.beir import read_passages

    require_files(folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / f"{split}.tsv")
    encoder = _load(model, device, nbits, (text for _, text in read_passages(folder)))
    report = evaluate_retrieval(encoder, folder, split=split, limit_queries=limit_queries).to_json()
    if as_json:
        return write_json(report)
    title = f"{report['n_queries']} queries, {report['n_passages']} passages"
    _print(title, {"fgr": report["ours"], "bm25": report["bm25"]})


def _load(model: str | None, device: str | None, nbits: int | None, passages: Iterable[str]) -> TokenEncoder:
    """Load the model, and on request the codec that an index of the passages would have."""
    from fgr_retriever.evaluation.quantised import Quantised, codec_for

    encoder = load_encoder(model, device)
    if nbits is None:
        return encoder
    codec = codec_for(encoder, passages, nbits, progress=sys.stderr.isatty())
    note(f"fgr: passages at {nbits} bits: {len(codec.centroids)} centroids, {codec.bytes_per_token} bytes a token")
    return Quantised(encoder, codec)


def _print(title: str, systems: Mapping[str, Mapping[str, Any]]) -> None:
    """Print one row for each system and one column for each measure."""
    measures = list(next(iter(systems.values())))
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("")
    for measure in measures:
        table.add_column(measure, justify="right")
    for name, values in systems.items():
        table.add_row(name, *(_format(values[measure]) for measure in measures))
    terminal().print(table)


def _format(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
