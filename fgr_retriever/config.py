"""Settings: one frozen class each for the model, the index, the search and the trimming.

Use `dataclasses.replace` to make a changed copy. `to_json` and `from_json` are strict: an unknown
or missing key is always an error and is never ignored.
"""

from __future__ import annotations

import json
import math
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

from typing_extensions import Self

from fgr_retriever.arguments import check, is_count, is_number, strict_arguments, whole_number
from fgr_retriever.errors import ConfigError

Unit = Literal["token", "phrase", "sentence"]
OnEmpty = Literal["best_span", "keep", "drop"]
Cut = Literal["expected_f1", "threshold"]
Order = Literal["best", "edges", "source"]
Preset = Literal["fast", "balanced", "accurate", "exact"]


class Strict:
    """JSON in and out for a frozen dataclass, refusing anything that does not fit."""

    __slots__ = ()

    def _take_counts(self, least: int, *names: str) -> None:
        """Check fields that are integers of at least `least`, and keep them as integers of Python."""
        for name in names:
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least))

    def to_json(self) -> str:
        """Write every field as a JSON object."""
        return json.dumps(asdict(self))  # type: ignore[call-overload, no-any-return, unused-ignore]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ConfigError: The text is not a JSON object, a key is unknown or missing, or a value is invalid.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{cls.__name__} is not valid JSON: {error}") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{cls.__name__} must be a JSON object, got {type(values).__name__}")
        known = {item.name for item in fields(cls)}  # type: ignore[arg-type]
        if wrong := sorted(known ^ values.keys()):
            raise ConfigError(f"{cls.__name__} has unknown or missing keys {wrong}; it has exactly {sorted(known)}")
        return cls(**values)


_CITATION_FIELDS = ("{number}", "{title}", "{id}")


def _is_citation(template: str) -> bool:
    """Say whether a template formats with the fields of a citation, and no attributes of them."""
    try:
        named = {f"{{{name}}}" for _, name, _, _ in string.Formatter().parse(template) if name is not None}
        return named <= set(_CITATION_FIELDS) and bool(template.format(number=1, title="", id="") or True)
    except (KeyError, IndexError, ValueError):
        return False


@strict_arguments(ConfigError)
@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration(Strict):
    """How evidence probabilities are judged if `TrimConfig.threshold` is None.

    Args:
        threshold: Lowest evidence probability with which a token counts as evidence, in [0, 1].
        temperature: Divides the evidence logits before they become probabilities; above 0.
        cut: With `expected_f1`, each passage finds its own cut, and the threshold is only the lowest
            probability that counts. With `threshold`, every passage is cut at the threshold.
    """

    threshold: float = 0.5
    temperature: float = 1.0
    cut: Cut = "expected_f1"

    def __post_init__(self) -> None:
        """Check every field."""
        probable = is_number(self.threshold) and 0 <= self.threshold <= 1
        check("threshold", self.threshold, probable, "a probability from 0 to 1")
        warm = is_number(self.temperature) and 0 < self.temperature < math.inf
        check("temperature", self.temperature, warm, "a number above 0")
        check("cut", self.cut, self.cut in get_args(Cut), f"one of {get_args(Cut)}")


@strict_arguments(ConfigError)
@dataclass(frozen=True, slots=True, kw_only=True)
class IndexConfig(Strict):
    """How an index stores its vectors; fixed when the index is created.

    Args:
        segment_tokens: Number of tokens after which a segment file is closed and a new one begins.
        nbits: Bits for each dimension of a vector. 1, 2, 4 and 8 use a residual codec, which is
            trained as soon as there are enough tokens. 16 always stores float16.
        words: Also keep the words of the passages, for BM25: `english` or another language for which
            Snowball has a stemmer (extra `hybrid`), `plain` for no stemming, or empty for no words.
        importance: Also keep the importance of each token, in one byte, for the stage `attention`
            (ColBERT-Att). The model must be able to compute it, as `Encoder` can.
        refine: Also keep a second layer with as many bits again, for `nbits` of at most 4. A search reads of it
            only what belongs to its last candidates: memory and time as with one layer, recall as with twice the bits.
    """

    segment_tokens: int = 2_000_000
    nbits: int = 2
    words: str = ""
    importance: bool = False
    refine: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        known = is_count(self.nbits, 1) and self.nbits in (1, 2, 4, 8, 16)
        check("nbits", self.nbits, known, "1, 2, 4, 8 or 16")
        self._take_counts(1, "nbits", "segment_tokens")
        check("words", self.words, isinstance(self.words, str), "a string")
        check("importance", self.importance, isinstance(self.importance, bool), "True or False")
        check("refine", self.refine, isinstance(self.refine, bool), "True or False")
        check("refine", self.refine, not self.refine or self.nbits <= 4, "False, or `nbits` 1, 2 or 4")


@strict_arguments(ConfigError)
@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig(Strict):
    """How a search runs; `SearchConfig.preset` gives good settings.

    Passages that are stored as float16 are all scored exactly. The first four settings only concern
    passages that were compressed by the codec.

    Args:
        nprobe: Number of centroids, for each query token, whose passages become candidates.
        candidates: Number of passages to decode and score for each query; if `k` is larger, `k`
            passages. If a filter leaves no more passages than this, all of them are scored.
        refined: Number of candidates that are scored by all their tokens, with both layers where the index
            keeps two (`IndexConfig.refine`); twice `k` if that is more. Before, all candidates were scored by
            the tokens that are near the query.
        exact: Score every passage; `nprobe`, `candidates` and `refined` then have no effect.
        chunk_tokens: Number of passage tokens that are scored at once. It limits the memory of a
            search (about `chunk_tokens` x (dim + query tokens) x 4 bytes).
    """

    nprobe: int = 8
    candidates: int = 512
    refined: int = 32
    exact: bool = False
    chunk_tokens: int = 32_768

    def __post_init__(self) -> None:
        """Check every field."""
        self._take_counts(1, "nprobe", "candidates", "refined", "chunk_tokens")
        check("exact", self.exact, isinstance(self.exact, bool), "True or False")

    @classmethod
    def preset(cls, name: Preset) -> Self:
        """Give settings by name: `fast`, `balanced` (the default), `accurate` or `exact`.

        `accurate` is for an index with two layers (`IndexConfig.refine`): it looks at more candidates, and scores more
        of them by both. Recall at 10 of `fast`, `balanced`, `accurate` and `exact`, relative to float16 MaxSim, with
        61,520 passages: with 2 bits 0.849, 0.899, 0.905 and 0.928, with two layers of 2 bits 0.894, 0.957, 0.970 and
        0.986 (`docs/performance.md`).

        Raises:
            ConfigError: There is no such preset.
        """
        check("preset", name, name in get_args(Preset), f"one of {get_args(Preset)}")
        settings = {
            "fast": cls(nprobe=4, candidates=128),
            "balanced": cls(),
            "accurate": cls(candidates=1024, refined=64),
            "exact": cls(exact=True),
        }
        return settings[name]


@strict_arguments(ConfigError)
@dataclass(frozen=True, slots=True, kw_only=True)
class TrimConfig(Strict):
    """How passages are cut down to their evidence.

    Args:
        threshold: Lowest evidence probability with which a token counts as evidence, in [0, 1]. With
            None, each passage finds its own cut, the one with the highest expected F1, and the model's
            threshold is only the lowest probability that counts. If `fgr calibrate` fixed a threshold,
            None uses that threshold instead.
        unit: What tokens are extended to: whole words (`token`), the clause (`phrase`) or the sentence
            (`sentence`).
        merge_gap: Spans with at most this many characters between them become one span.
        min_length: Spans shorter than this many characters are left out.
        context_sentences: Number of whole sentences to keep on either side of every span.
        max_tokens: Hard limit for all passages together, including separators and citation marks;
            None means no limit.
        tokenizer: What counts the tokens: a tiktoken encoding, a model name that tiktoken knows,
            or a folder or hub id of a Hugging Face tokenizer. If the default cannot be loaded, the tokens
            are estimated on the safe side, and the report says so.
        separator: Written between two spans of one passage (an elision mark).
        passage_separator: Written between two passages of one context.
        citation: Written before each source of a context: a format string with the fields `{number}`
            (counted from `first_number`), `{title}` and `{id}`. Where a source has no title that tells a reader
            something, `{title}` is left out.
        first_number: Number of the first source, for a context that goes on where another one ended.
        order: How a context orders its sources. `best`: the best first. `edges`: the best at both ends
            and the weakest in the middle (Liu et al. 2023, "Lost in the middle", arXiv 2307.03172).
            `source`: the given order, but passages of one source together and in reading order.
        merge: Write the chunks of one source as one block, with overlapping text only once. If another
            passage's span has all words of a span, write only that other span. No word is ever lost.
        on_empty: What is kept of a passage without evidence: its best span (`best_span`), its whole
            text (`keep`) or nothing (`drop`).
        keep_title: Keep the title line of a passage whenever other text of the passage is kept.
        fill: If the evidence leaves room in `max_tokens`, fill it with the next best units of the
            passages that have evidence, even if these units are below the threshold. Without
            `max_tokens` this changes nothing.
    """

    threshold: float | None = None
    unit: Unit = "phrase"
    merge_gap: int = 20
    min_length: int = 1
    context_sentences: int = 0
    max_tokens: int | None = None
    tokenizer: str = "o200k_base"
    separator: str = " … "
    passage_separator: str = "\n\n"
    citation: str = ""
    first_number: int = 1
    order: Order = "best"
    merge: bool = True
    on_empty: OnEmpty = "best_span"
    keep_title: bool = False
    fill: bool = False

    def __post_init__(self) -> None:
        """Check every field."""
        in_range = self.threshold is None or (is_number(self.threshold) and 0 <= self.threshold <= 1)
        check("threshold", self.threshold, in_range, "None or a probability from 0 to 1")
        check("unit", self.unit, self.unit in get_args(Unit), f"one of {get_args(Unit)}")
        check("on_empty", self.on_empty, self.on_empty in get_args(OnEmpty), f"one of {get_args(OnEmpty)}")
        self._take_counts(0, "merge_gap", "min_length", "context_sentences")
        self._take_counts(1, "first_number")
        limited = self.max_tokens is None or is_count(self.max_tokens, 0)
        check("max_tokens", self.max_tokens, limited, "None or an integer of at least 0")
        if self.max_tokens is not None:
            self._take_counts(0, "max_tokens")
        for name in ("tokenizer", "separator", "passage_separator", "citation"):
            value = getattr(self, name)
            check(name, value, isinstance(value, str), "a string")
        check("citation", self.citation, _is_citation(self.citation), f"a format string of {_CITATION_FIELDS}")
        check("order", self.order, self.order in get_args(Order), f"one of {get_args(Order)}")
        for name in ("keep_title", "merge", "fill"):
            value = getattr(self, name)
            check(name, value, isinstance(value, bool), "True or False")


TrimSettings: TypeAlias = TrimConfig | Mapping[str, Any]
"""How to trim: the settings, or a dict of their fields."""


def trimming(trim: TrimSettings | None, name: str = "trim") -> TrimConfig:
    """Take the settings of a trimming, or make them of a dict of their fields; None means the defaults.

    Raises:
        ConfigError: They are something else, or there is no such field, or a value is out of range.
    """
    if isinstance(trim, Mapping):
        return TrimConfig(**trim)
    config = TrimConfig() if trim is None else trim
    allowed = "None, a TrimConfig, such as TrimConfig(max_tokens=50), or a dict of its fields"
    check(name, config, isinstance(config, TrimConfig), allowed)
    return config
