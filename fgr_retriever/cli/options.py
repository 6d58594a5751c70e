"""Options that several commands share, and what they name: a model, an index, a tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fgr_retriever.cli.output import note
from fgr_retriever.cli.reading.files import Format
from fgr_retriever.cli.reading.folders import Choice, LeftOut, some_of
from fgr_retriever.config import TrimConfig
from fgr_retriever.errors import InputError

if TYPE_CHECKING:
    from fgr_retriever.engine import Engine
    from fgr_retriever.model.encoder import Encoder
    from fgr_retriever.search.pipeline import Pipeline
    from fgr_retriever.trim.budget import TokenCounter


def _check_query(query: str) -> str:
    from fgr_retriever.evidence.token_evidence import check_query

    try:
        check_query(query)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None
    return query


Model = Annotated[str | None, typer.Option(help="Folder or hub id of a model; by default the embedded one.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 or mps; by default the best there is.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
FormatName = Annotated[Format, typer.Option(help="What the files are; auto goes by their names.")]
IdField = Annotated[
    str | None, typer.Option(help="Field with a record's id; '' numbers them.", show_default="id or _id, else FILE#N")
]
IdsPerFile = Annotated[
    bool, typer.Option("--ids-per-file", help="Ids of records are unique in their file only: make them FILE#ID.")
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="PATTERN",
        help="Leave out what matches in a folder: '*.json' or old at any depth, 'old/*.csv' by path. Repeatable.",
    ),
]
Hidden = Annotated[bool, typer.Option("--hidden", help="Also read names in a folder that begin with a dot.")]
TextField = Annotated[
    str | None, typer.Option(help="Field with a record's text, or several, as in a,b.", show_default="text")
]
TitleField = Annotated[str | None, typer.Option(help="Field to put before the text; by default titles stay metadata.")]
PassageChars = Annotated[
    int, typer.Option(min=1, help="Texts are cut before headings and at blank lines, into passages of about this size.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Query = Annotated[str, typer.Argument(help="The question.", show_default=False, callback=_check_query)]
IndexFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of an index.", show_default=False)]
IndexPlace = Annotated[
    str,
    typer.Argument(metavar="DIR|URL", help="The folder of an index, or qdrant://HOST/COLLECTION.", show_default=False),
]
Results = Annotated[int, typer.Option("-k", min=1, help="How many passages to find.")]
MaxTokens = Annotated[
    int | None, typer.Option(min=0, help="Hard limit of tokens for all kept texts together; by default none.")
]
Fill = Annotated[
    bool, typer.Option("--fill", help="Spend what the evidence leaves of --max-tokens on the next best parts.")
]
Tokenizer = Annotated[
    str | None,
    typer.Option(help="Counts tokens: a tiktoken encoding or model name, or a folder or hub id of a tokenizer."),
]


PipelineFile = Annotated[
    Path | None, typer.Option("--pipeline", metavar="FILE", help="The stages of a search, as JSON; by default MaxSim.")
]


def note_as_lines(names: Sequence[str], field: str | None) -> None:
    """Say that files have no field for the text.

    Args:
        names: The files; with none, nothing is said.
        field: What `--text-field` named.
    """
    if names:
        note(
            f"no field {field or 'text'!r} in {some_of(names)}: each record is a passage of lines `field: value`; "
            "--text-field names another field"
        )


def note_left_out(left: LeftOut, choice: Choice) -> None:
    """Say what of folders is not read, and which patterns exclude nothing."""
    if told := left.told():
        note(told)
    for pattern in choice.exclude:
        if pattern not in left.matched:
            note(f"--exclude {pattern}: nothing in the folders matches")


def require_files(*paths: Path) -> None:
    """Check that files are there, before a model is loaded for them.

    Raises:
        FileNotFoundError: One is missing.
    """
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file")


def load_encoder(model: str | None, device: str | None) -> Encoder:
    """Load the model that the options name."""
    from fgr_retriever.model.encoder import Encoder

    return Encoder.default(device=device) if model is None else Encoder.from_pretrained(model, device=device)


def read_pipeline(path: Path | None) -> Pipeline | None:
    """Read the stages of a search from a file, if one is named.

    Raises:
        FileNotFoundError: There is no such file.
        ConfigError: It holds no pipeline.
    """
    from fgr_retriever.search.pipeline import Pipeline

    return None if path is None else Pipeline.from_json(path.read_bytes())


def open_existing(place: str, model: str | None, device: str | None, pipeline: Path | None = None) -> Engine:
    """Open an index for reading; unlike `Engine.open`, never make one.

    Raises:
        IndexNotFoundError: There is no index, which shows before the model is loaded.
        FileNotFoundError: There is no file with the pipeline.
        ConfigError: The file holds no pipeline.
    """
    from fgr_retriever.engine import Engine
    from fgr_retriever.index.opening import open_stored

    open_stored(place).close()
    stages = read_pipeline(pipeline)
    return Engine.open(place, encoder=load_encoder(model, device), pipeline=stages, create=False)


def choose_counter(tokenizer: str | None) -> TokenCounter:
    """Make the counter of tokens.

    Args:
        tokenizer: What the user asked for, if anything; else the default one or, with a warning, an
            estimate of it.
    """
    from fgr_retriever.trim.budget import token_counter
    from fgr_retriever.trim.estimate import budget_counter

    return budget_counter(TrimConfig().tokenizer) if tokenizer is None else token_counter(tokenizer)
