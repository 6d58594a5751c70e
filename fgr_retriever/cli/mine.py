"""`fgr mine`: find hard negatives for questions, to train retrieval on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fgr_retriever.cli.options import Device, Model, load_encoder
from fgr_retriever.cli.output import note


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(mine)


def mine(
    source: Annotated[
        Path, typer.Argument(help="A BEIR folder, or JSON Lines with query, passage, spans.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Where the tuples go; run again to resume.", show_default=False)],
    split: Annotated[str, typer.Option(help="Which judgements of a BEIR folder to use.")] = "train",
    first: Annotated[int, typer.Option(min=1, help="First rank of the search to take.")] = 2,
    last: Annotated[int, typer.Option(min=1, help="Last rank of the search to take.")] = 50,
    negatives: Annotated[int, typer.Option(min=1, help="Most negatives of a question.")] = 15,
    share: Annotated[float, typer.Option(help="Leave out what scores above this share of the positive.")] = 0.95,
    teacher: Annotated[
        str | None, typer.Option(help="Folder or hub id of a cross-encoder that scores; by default MaxSim.")
    ] = None,
    as_spans: Annotated[bool, typer.Option(help="Write negatives as passages without evidence.")] = False,
    model: Model = None,
    device: Device = None,
) -> None:
    """Search for hard negatives with a model, leave out what may be an answer, and write tuples to train on."""
    from fgr_retriever.training.mining import Miner, MiningConfig
    from fgr_retriever.training.questions import read_source
    from fgr_retriever.training.scoring import CrossEncoderTeacher, MaxSimTeacher

    config = MiningConfig(first=first, last=last, negatives=negatives, share=share, as_spans=as_spans)
    read = read_source(source, split)
    encoder = load_encoder(model, device)
    judge = CrossEncoderTeacher(teacher, device) if teacher else MaxSimTeacher(encoder)
    report = Miner(encoder, judge, config).mine(read, out)
    note(
        f"{report.written} of {report.questions} questions written with {report.negatives} negatives; "
        f"{report.resumed} were already, {report.unanswered} have no answer, {report.bare} no negative that is left"
    )
    note(
        f"{report.found} passages between rank {first} and {last}: {report.known} known or the same words, "
        f"{report.too_close} too close to the answer"
    )
