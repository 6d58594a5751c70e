"""The facade: one object that indexes passages, finds them with their evidence, and trims them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from typing_extensions import Self

from fgr_retriever.arguments import check, strict_arguments, whole_number
from fgr_retriever.calls import Stopwatch, in_thread, traced
from fgr_retriever.config import Calibration, IndexConfig, SearchConfig, TrimConfig, TrimSettings, trimming
from fgr_retriever.errors import InputError
from fgr_retriever.evidence.hit import Hit
from fgr_retriever.evidence.questions import Questions
from fgr_retriever.evidence.token_evidence import Question, read_hits
from fgr_retriever.index.emptying import unless_emptying
from fgr_retriever.index.filters import Filter
from fgr_retriever.index.opening import Place, open_index
from fgr_retriever.index.seam import PassageIndex
from fgr_retriever.index.search.lookup import checked_ids
from fgr_retriever.index.unmet import UnmetFilters
from fgr_retriever.index.upkeep import Upkeep
from fgr_retriever.model.choice import choose_model
from fgr_retriever.model.tokens import TokenEncoder
from fgr_retriever.search.pipeline import Pipeline
from fgr_retriever.search.stages import Request
from fgr_retriever.trim.budget import TokenCounter
from fgr_retriever.trim.context import Context
from fgr_retriever.trim.trimmer import trim_hits
from fgr_retriever.types import Added, Passage

logger = logging.getLogger(__name__)


@strict_arguments(trim=TrimConfig, search=SearchConfig, config=IndexConfig)
class Engine(Upkeep):
    """An index with its model. Make one with `Engine.open`.

    You can use it from many threads. A search never waits for a write, and it sees the index as it
    was when the search began. Only one write runs at a time, across all processes: those of one engine
    wait for each other, others are refused. Every method has an async twin in a worker thread, with the prefix `a`.

    A copy, a deep copy and a pickle open the same folder once more, with the same model and settings: each is an
    engine of its own, and closing one leaves the others open. Not so in a temporary folder, which goes with its engine.

    Attributes:
        unmet_filters: Why a filter lets nothing through, for what shows no report.
        temporary: Whether the folder is deleted with this engine, as that of an adapter without a path.
    """

    def __init__(
        self,
        index: PassageIndex,
        encoder: TokenEncoder | None = None,
        search: SearchConfig = SearchConfig(),  # noqa: B008 - immutable
        pipeline: Pipeline | None = None,
    ) -> None:
        """Join an open index with its model; use `Engine.open`."""
        if isinstance(index, (str, Path)) or encoder is None:
            raise InputError(f"Engine({index!r:.200}): open the index with Engine.open(path)")
        check("search", search, isinstance(search, SearchConfig), "a SearchConfig, as SearchConfig.preset('exact') is")
        check("pipeline", pipeline, pipeline is None or isinstance(pipeline, Pipeline), "None or a Pipeline")
        super().__init__(index)
        self._encoder, self._questions = encoder, Questions(encoder)
        self._search_config = search
        self._pipeline = pipeline
        self.unmet_filters = UnmetFilters(index)
        self.temporary = False

    @classmethod
    def open(
        cls,
        path: Place,
        *,
        encoder: TokenEncoder | None = None,
        model: str | Path | None = None,
        config: IndexConfig | None = None,
        search: SearchConfig = SearchConfig(),  # noqa: B008 - immutable
        pipeline: Pipeline | None = None,
        create: bool = True,
    ) -> Self:
        """Open an index, and use the calibration that `fgr calibrate` stored there.

        If the index lacks something that this model can use, a warning names it; see `upgrade`.

        Args:
            path: The folder of the index; or the URL of a Qdrant collection, as in
                `qdrant://localhost/passages`, or a `QdrantCollection` with a client of your own.
            encoder: An open model; None uses the one that `model` names.
            model: Folder or hub id of a ColBERT checkpoint; None uses the embedded model.
            config: How a new index stores vectors; None uses the defaults.
            search: How the index is searched.
            pipeline: The stages that every search goes through; None means late interaction alone.
            create: Make an empty index if there is none.

        Raises:
            InputError: There are both an `encoder` and a `model`.
            CheckpointError: The `model` cannot be opened.
            IndexNotFoundError: There is no index and `create` is False, or the folder contains something else.
            ModelMismatchError: The index was built with another model.
            ConfigError: The index was created with another config.
            IndexFormatError: The index has a format that this version cannot read.
            IndexCorruptError: A file is damaged, missing or has the wrong size.
            IndexLockedError: Another process is creating the index and does not finish.
            IndexWriteError: The disk refused to create the index.
            IndexServerError: The server of a collection does not answer, or refuses.
        """
        index = open_index(path, choose_model(encoder, model), config, create=create)
        if lacking := index.lacks():
            less = "everything works, but evidence is less exact. `fgr upgrade` or Engine.upgrade adds it."
            logger.warning("%s has no %s: %s", index.location, " and no ".join(lacking), less)
        return cls(index, index.calibrated_model(), search, pipeline)

    def add(self, passages: Iterable[Passage], *, replacing: Iterable[str] = (), show_progress: bool = False) -> Added:
        """Index passages: all of them or, if there is an error, none.

        The passages are read once, and never all held in memory. If the id of a passage is already stored, the new
        passage replaces the stored one. Only what changed costs something: a passage that is stored with the same text
        is not encoded again, and new metadata are simply written. So you can add all at every start of a program.

        Args:
            passages: The passages to index; each id may occur only once in a call.
            replacing: Ids of passages that are deleted in the same transaction, unless they are among
                `passages`; unknown ids are ignored. `replacing=engine.ids()` makes the index exactly what you
                pass, unless that is nothing: only `delete` empties an index.
            show_progress: Show a progress bar on stderr.

        Returns:
            How many passages there were: a number with the attributes `added`, `updated`, `unchanged` and
            `deleted`.

        Raises:
            InputError: A passage cannot be stored, or its id occurs twice; or an id is not a string. Or there are no
                passages, and all that is stored would be deleted.
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused the write.
        """
        gone = checked_ids(replacing)
        passages = unless_emptying(passages, gone, self.ids)
        return self._noted(self._index.add(passages, replacing=gone, show_progress=show_progress))

    def search(
        self, query: str, k: int = 10, *, filter: Filter | None = None, trim: TrimSettings | None = None
    ) -> list[Hit]:
        """Find the best passages for a query, with their evidence.

        Args:
            query: The question, not blank.
            k: How many passages to find at most.
            filter: Condition on the metadata of the passages, such as `{"year": {"$gte": 1900}}`; see
                `fgr_retriever.index.filters`. If it can let nothing through, the log says why, once.
            trim: How evidence becomes spans: settings, or a dict of their fields; None uses the defaults.

        Returns:
            Hits, best first. Hits with equal scores are in the order in which they were added.

        Raises:
            InputError: The query is blank or the filter is invalid.
            ConfigError: `k` is not an integer of at least 1.
            IndexCorruptError: The stored data is damaged.
        """
        return self.search_batch([query], k=k, filter=filter, trim=trim)[0]

    def search_batch(
        self, queries: Sequence[str], k: int = 10, *, filter: Filter | None = None, trim: TrimSettings | None = None
    ) -> list[list[Hit]]:
        """Find the best passages for many queries at once; see `search`."""
        if isinstance(queries, str):
            raise InputError(f"queries {queries!r:.200}: must be a sequence of strings; use search for one query")
        found = self._search(queries, k, filter, trimming(trim), Stopwatch())
        return self.unmet_filters.logged(filter, found)

    def rank(self, query: str, k: int = 10, *, filter: Filter | None = None) -> list[tuple[str, float]]:
        """Rank passages without their evidence. No text is read, so this is cheaper than `search`.

        Returns:
            Ids and scores of the hits that `search` gives for the same arguments, best first. `rank`
            also raises the same errors as `search`.
        """
        (question,) = self._questions.encode([query])
        if self._pipeline is None:
            found = self._index.rank(question.vectors, k, filter, self._search_config)
        else:
            found = self._pipeline.rank(self._request(question, k, filter, TrimConfig(), Stopwatch()))
        return self.unmet_filters.logged(filter, found)

    def retrieve(
        self,
        query: str,
        k: int = 5,
        *,
        filter: Filter | None = None,
        trim: TrimSettings | None = None,
        count_tokens: TokenCounter | None = None,
    ) -> Context:
        """Find the best passages and trim them for a prompt.

        Args:
            query: The question, not blank.
            k: How many passages to find at most.
            filter: Condition on the metadata of the passages; see `search`. If it lets nothing through, the
                notes of the report name those of its keys that no passage has, or has with such a type.
            trim: How to trim: settings, or a dict of their fields; None uses the defaults.
            count_tokens: Counts the tokens of a text. None uses the tokenizer of `trim` if there is a budget, and
                otherwise counts nothing, because a tokenizer may need a download.

        Raises:
            InputError: The query is blank or the filter is invalid.
            ConfigError: `k` is not an integer of at least 1, or `count_tokens` is no function that gives an integer.
            TokenCounterError: There is a budget, and the tokenizer that it names is not available.
            IndexCorruptError: The stored data is damaged.
        """
        config, watch = trimming(trim), Stopwatch()
        with traced("retrieve") as note:
            (hits,) = self._search([query], k, filter, config, watch)
            watch.notes += self.unmet_filters.notes(filter, hits)
            context = trim_hits(query, hits, self._encoder.calibration, config, count_tokens, watch)
            note({"hits": len(hits), **context.report.to_dict()})
        return context

    @property
    def encoder(self) -> TokenEncoder:
        """The model, with the calibration in use."""
        return self._encoder

    @property
    def calibration(self) -> Calibration:
        """The calibration in use: the model's own, or what `fgr calibrate` left in the index."""
        return self._encoder.calibration

    @property
    def pipeline(self) -> Pipeline | None:
        """The stages that every search goes through; None means late interaction alone."""
        return self._pipeline

    aadd = in_thread(add)
    asearch = in_thread(search)
    arank = in_thread(rank)
    asearch_batch = in_thread(search_batch)
    aretrieve = in_thread(retrieve)

    @classmethod
    async def aopen(
        cls,
        path: Place,
        *,
        encoder: TokenEncoder | None = None,
        model: str | Path | None = None,
        config: IndexConfig | None = None,
        search: SearchConfig = SearchConfig(),  # noqa: B008 - immutable
        pipeline: Pipeline | None = None,
        create: bool = True,
    ) -> Self:
        """Open an index, in a worker thread; see `open`."""
        which: dict[str, Any] = {"encoder": encoder, "model": model, "config": config, "create": create}
        return await asyncio.to_thread(cls.open, path, search=search, pipeline=pipeline, **which)

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to open the index again, for copies and pickles.

        Raises:
            InputError: The index lies in a temporary folder, or in a collection with a client of one's own.
        """
        if self.temporary:
            raise InputError(
                f"{self.location} is deleted with this engine, so it cannot be copied or pickled: give the index a "
                "folder of its own (`path`)"
            )
        kept: dict[str, Any] = {"search": self._search_config, "pipeline": self._pipeline, "create": False}
        return partial(type(self).open, encoder=self._index.encoder, **kept), (self._index.place,)

    def _search(
        self, queries: Sequence[str], k: int, filter: Filter | None, config: TrimConfig, watch: Stopwatch
    ) -> list[list[Hit]]:
        """Search, and turn what the index found into hits with evidence."""
        k = whole_number("k", k, 1)
        with traced("search") as note:
            with watch("encode"):
                questions = self._questions.encode(queries)
            if self._pipeline is None:
                with watch("search"):
                    matches = self._index.search([one.vectors for one in questions], k, filter, self._search_config)
                with watch("evidence"):
                    hits = [read_hits(self._encoder, *one, config) for one in zip(questions, matches, strict=True)]
            else:
                hits = [self._pipeline.search(self._request(one, k, filter, config, watch), one) for one in questions]
            note({"queries": len(queries), "k": k, "hits": sum(map(len, hits)), "times_ms": watch.times_ms})
        return hits

    def _request(
        self, question: Question, k: int, filter: Filter | None, config: TrimConfig, watch: Stopwatch
    ) -> Request:
        """Say what the stages of the pipeline work on."""
        where = filter, self._index, self._encoder
        return Request(question.text, question.vectors, *where, k, config, watch, self._search_config)
