"""`fgr eval`: measure a model on labelled data, and compare runs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fgr_retriever.cli.options import AsJson, Device, Model, Tokenizer, choose_counter, load_encoder, require_files
from fgr_retriever.cli.output import counted, note, terminal, write_json, write_text
from fgr_retriever.config import TrimConfig, Unit

if TYPE_CHECKING:
    from fgr_retriever.model.tokens import TokenEncoder

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
    group.command()(runs)
    group.command()(curve)
    group.command()(lists)
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
    run_out: Annotated[Path | None, typer.Option(help="Write what was found as a TREC run file.")] = None,
    model: Model = None,
    device: Device = None,
) -> None:
    """Score retrieval and its latency, beside BM25 on the same text."""
    from fgr_retriever.evaluation import evaluate_retrieval, write_run
    from fgr_retriever.evaluation.beir import read_passages

    require_files(folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / f"{split}.tsv")
    encoder = _load(model, device, nbits, (text for _, text in read_passages(folder)))
    show_progress = sys.stderr.isatty()
    report = evaluate_retrieval(encoder, folder, split=split, limit_queries=limit_queries, show_progress=show_progress)
    if run_out is not None:
        write_run(report.systems["fgr"].run, run_out)
    if as_json:
        return write_json(report.to_json())
    title = f"{report.n_queries} queries, {report.n_passages} passages, {report.bytes_per_token:.1f} bytes a token"
    _print(title, {"fgr": report.ours, "bm25": report.bm25})


def runs(
    qrels: Annotated[Path, typer.Argument(help="Judgements: TREC's four columns or BEIR's three.", show_default=False)],
    files: Annotated[list[Path], typer.Argument(metavar="RUN...", help="TREC run files.", show_default=False)],
    as_json: AsJson = False,
    measure: Annotated[str, typer.Option(help="What the test of significance is about.")] = "ndcg@10",
    markdown: Annotated[bool, typer.Option(help="Write a table in Markdown.")] = False,
) -> None:
    """Compare run files with the first of them, query by query, with a paired randomisation test."""
    from fgr_retriever.evaluation import compare, read_qrels, read_run

    require_files(qrels, *files)
    found = compare(read_qrels(qrels), [read_run(file) for file in files], measure)
    if as_json:
        return write_json(found.to_json())
    if markdown:
        return write_text(found.to_markdown())
    _print(f"{found.n_queries} queries; change, better, worse and p: {measure}, beside the first run", found.columns())


def curve(
    file: Annotated[Path, typer.Argument(help="JSON Lines with query, passage, spans (or annotations), answers.")],
    as_json: AsJson = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only this many examples.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the curve into this PNG or SVG file.")] = None,
    nbits: Nbits = None,
    tokenizer: Tokenizer = None,
    model: Model = None,
    device: Device = None,
) -> None:
    """Measure answers kept against tokens saved, for every threshold and every budget."""
    from fgr_retriever.evaluation import answer_curve, read_examples

    require_files(file)
    passages = (example.passage for example in islice(read_examples(file), limit))
    encoder = _load(model, device, nbits, passages)
    count = choose_counter(tokenizer)
    found = answer_curve(encoder, counted(islice(read_examples(file), limit), "examples read"), count)
    if plot is not None:
        from fgr_retriever.evaluation.plots import draw_curve

        draw_curve(found, plot)
    if as_json:
        return write_json(found.to_json())
    rows = {f"{one.kind} {one.value:g}" if one.value is not None else one.kind: one for one in found.points}
    measures = ("answer_kept", "tokens_saved", "f1")
    table = {name: {measure: getattr(one, measure) for measure in measures} for name, one in rows.items()}
    _print(f"{found.n} examples, {found.answerable} with something to keep", table)


def lists(
    file: Annotated[
        Path, typer.Argument(help="JSON Lines with query and passages, each with id, passage, grade (0 to 3), spans.")
    ],
    as_json: AsJson = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only this many lists.")] = None,
    nbits: Nbits = None,
    tokenizer: Tokenizer = None,
    model: Model = None,
    device: Device = None,
) -> None:
    """Measure what is kept of result lists, by grade and under budgets for a whole list."""
    from fgr_retriever.evaluation import evaluate_lists, read_lists

    require_files(file)
    passages = (passage.text for one in islice(read_lists(file), limit) for passage in one.passages)
    encoder = _load(model, device, nbits, passages)
    count = choose_counter(tokenizer)
    found = evaluate_lists(encoder, islice(read_lists(file), limit), count, show_progress=sys.stderr.isatty())
    if as_json:
        return write_json(found.to_json())
    shares = {f"kept, grade {grade}": share for grade, share in enumerate(found.kept)}
    _print(f"{found.n} lists, {sum(found.passages)} passages", {"fgr": {"f1, grades 2 and 3": found.f1, **shares}})
    rows = {f"budget {one.budget:.0%}": one for one in found.budgets}
    measures = ("evidence_recall", "grade_0")
    _print("", {name: {measure: getattr(one, measure) for measure in measures} for name, one in rows.items()})


def _load(model: str | None, device: str | None, nbits: int | None, passages: Iterable[str]) -> TokenEncoder:
    """Load the model, and on request the codec that an index of the passages would have."""
    from fgr_retriever.evaluation.quantised import Quantised, codec_for

    encoder = load_encoder(model, device)
    if nbits is None:
        return encoder
    codec = codec_for(encoder, passages, nbits, show_progress=sys.stderr.isatty())
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
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
