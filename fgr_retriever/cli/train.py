"""`fgr train`: make a model of your own from labelled spans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fgr_retriever.cli.output import note


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(train)


def train(
    recipe: Annotated[Path, typer.Argument(metavar="CONFIG", help="The recipe, a YAML file.", show_default=False)],
    data: Annotated[Path, typer.Option(help="Folder that the files of the recipe are relative to.")] = Path(),
    out: Annotated[Path, typer.Option(help="Folder of the run; run again to resume.")] = Path("runs/fgr"),
) -> None:
    """Train a model with an evidence head; an interrupted run goes on where it stopped."""
    from fgr_retriever.errors import MissingExtraError
    from fgr_retriever.training.config import TrainingConfig

    config = TrainingConfig.read(recipe)
    try:
        import accelerate  # noqa: F401 - transformers' Trainer needs it, and fails late without
        import matplotlib  # noqa: F401 - the curves need it, at the end of the run
    except ImportError as error:
        raise MissingExtraError("training", "train") from error
    from fgr_retriever.model.precision import machine
    from fgr_retriever.training.run import run

    note(f"training on {machine()}")
    note(f"model written to {run(config, data, out)}")
