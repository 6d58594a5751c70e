"""What the JSON API takes and gives, and the OpenAPI document that says so.

Requests are checked by pydantic. Answers are plain dataclasses: what the engine found is valid already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema
from pydantic.json_schema import models_json_schema

import fgr_retriever
from fgr_retriever.config import OnEmpty, TrimConfig, Unit
from fgr_retriever.serve.filter_schema import FILTER, FILTER_NAME, check_size

MAX_QUERY = 2_000
MAX_K = 50
MAX_BODY = 64 * 1024
MAX_BUDGET = 1_000_000

# At least one character that is no white space to `str.strip`; written out, since \s means other ones in each language.
_NOT_BLANK = r"[^\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
_CITATION = "[{number}] "


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _whole(value: Any) -> Any:
    """Take 5.0 for 5, as JSON Schema does; whatever else is no integer stays what it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Whole = BeforeValidator(_whole)
_Filter = Annotated[
    dict[str, Any], BeforeValidator(check_size), WithJsonSchema({"$ref": f"#/components/schemas/{FILTER_NAME}"})
]


class TrimSettings(_Request):
    """How passages are cut down to their evidence; see `TrimConfig`."""

    threshold: Annotated[float | None, Field(ge=0, le=1)] = None
    max_tokens: Annotated[int, Field(ge=0, le=MAX_BUDGET), _Whole] | None = None
    unit: Unit = "phrase"
    on_empty: OnEmpty = "best_span"

    def config(self) -> TrimConfig:
        """Give the settings of the engine; sources are cited as [1], [2] and so on."""
        return TrimConfig(**self.model_dump(), citation=_CITATION)


class SearchRequest(_Request):
    """A question to the index."""

    query: Annotated[str, Field(max_length=MAX_QUERY, pattern=_NOT_BLANK)]
    k: Annotated[int, Field(ge=1, le=MAX_K), _Whole] = 5
    filter: _Filter | None = None
    trim: TrimSettings = TrimSettings()


class TrimRequest(_Request):
    """Other settings for what a search found."""

    search: Annotated[str, Field(max_length=64)]
    trim: TrimSettings = TrimSettings()


@dataclass(frozen=True, slots=True)
class Info:
    """What is served. `name` is that of the folder, `version` that of the library."""

    name: str
    passages: int
    tokens: int
    model: str
    version: str


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the question and its characters there; `content` is false for stop words and question words."""

    text: str
    start: int
    end: int
    content: bool


@dataclass(frozen=True, slots=True)
class KeptSpan:
    """A kept stretch of a passage, and the numbers of the words that it supports, the best supported first."""

    start: int
    end: int
    score: float
    words: list[int]


@dataclass(frozen=True, slots=True)
class KeptText:
    """What is kept of a hit: the spans, their share of its characters, or else why there are none."""

    kept: float
    reason: str
    spans: list[KeptSpan]


@dataclass(frozen=True, slots=True)
class TrimAnswer:
    """What is kept of every hit, and the context for a prompt.

    `hits` has the order of the search, `report` is a `TrustReport`, `ms` is the time on the server.
    """

    hits: list[KeptText]
    context: str
    tokens_before: int
    tokens_after: int
    report: dict[str, Any]
    ms: float


@dataclass(frozen=True, slots=True)
class FoundHit:
    """A hit, with what each stage gave it in `scores`.

    `tokens` are [start, end, evidence probability, number of the word that it matches or null].
    """

    rank: int
    id: str
    title: str
    score: float
    scores: dict[str, float]
    text: str
    metadata: dict[str, Any]
    tokens: list[tuple[int, int, float, int | None]]


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """What a search found. `search` names it in `/api/trim`; offsets count Unicode code points."""

    search: str
    query: str
    words: list[Word]
    hits: list[FoundHit]
    result: TrimAnswer
    ms: float


@dataclass(frozen=True, slots=True)
class Problem:
    """An error, as RFC 9457 writes it."""

    type: str
    title: str
    status: int
    detail: str


_REF = "#/components/schemas/{model}"
_PROBLEMS = {
    "400": "The request is not HTTP as it should be, or the Host header is not of this server",
    "404": "The server does not remember this search: search again",
    "408": "The request did not come whole in time",
    "413": f"The body has more than {MAX_BODY} bytes",
    "415": "The body is not application/json",
    "422": "A value is missing, unknown or out of range",
    "503": "The server has enough to do or stops: ask again after Retry-After; or the index was removed or replaced",
    "504": "The search took too long",
}


def openapi() -> dict[str, Any]:
    """Describe the API as an OpenAPI 3.1 document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fgr serve",
            "version": fgr_retriever.__version__,
            "description": "Searches one index and trims what it found to the evidence.",
        },
        "paths": {
            "/api/info": {"get": _operation("info", "What is served", Info, None)},
            "/api/search": {"post": _operation("search", "Search and trim", SearchAnswer, SearchRequest)},
            "/api/trim": {"post": _operation("trim", "Trim what a search found anew", TrimAnswer, TrimRequest)},
        },
        "components": {"schemas": _schemas()},
    }


def _operation(name: str, summary: str, answer: type, request: type | None) -> dict[str, Any]:
    """Describe one route."""
    codes = [
        code
        for code in _PROBLEMS
        if code in ("400", "408", "503", "504") or (request and (code != "404" or name == "trim"))
    ]
    problems = {code: _content(_PROBLEMS[code], "application/problem+json", Problem) for code in codes}
    body = {"requestBody": {"required": True, **_content("", "application/json", request)}} if request else {}
    responses = {"200": _content("Done", "application/json", answer), **problems}
    return {"operationId": name, "summary": summary, **body, "responses": responses}


def _content(description: str, media: str, schema: type) -> dict[str, Any]:
    content = {"content": {media: {"schema": {"$ref": _REF.format(model=schema.__name__)}}}}
    return {"description": description, **content} if description else content


def _schemas() -> dict[str, Any]:
    """Give the JSON schemas of all requests and answers by name."""
    _, requests = models_json_schema([(SearchRequest, "validation"), (TrimRequest, "validation")], ref_template=_REF)
    answers = [(kind, "serialization", TypeAdapter(kind)) for kind in (Info, SearchAnswer, TrimAnswer, Problem)]
    _, given = TypeAdapter.json_schemas(answers, ref_template=_REF)  # type: ignore[arg-type]
    return {**requests["$defs"], **given["$defs"], **FILTER}
