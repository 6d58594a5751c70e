"""The facade: one object that indexes passages, finds them with their evidence, and trims them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from torch import Tensor
from typing_extensions import Self

from fgr_retriever.budget import TokenCounter, token_counter
from fgr_retriever.config import IndexConfig, SearchConfig, TrimConfig
from fgr_retriever.errors import InputError
from fgr_retriever.index import Index, IndexInfo, Match
from fgr_retriever.index.filters import Filter
from fgr_retriever.spans import find_spans
from fgr_retriever.trim import Scored, assemble
from fgr_retriever.trim import trim as trim_scored
from fgr_retriever.trimmer import check_query, evidence_of, resolve_cut
from fgr_retriever.types import Context, Hit, Passage, TokenEncoder

_SelfT = TypeVar("_SelfT")
_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")


def _in_thread(
    method: Callable[Concatenate[_SelfT, _Args], _Result],
) -> Callable[Concatenate[_SelfT, _Args], Coroutine[Any, Any, _Result]]:
    """Make the async twin of a method: the same call in a worker thread."""

    async def twin(self: _SelfT, /, *args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
        return await asyncio.to_thread(method, self, *args, **kwargs)

    functools.update_wrapper(twin, method)
    twin.__name__ = f"a{method.__name__}"
    return twin


class Engine:
    """An index with its model; make one with `Engine.open`.

    Safe to use from many threads: searches never wait, also while a write is under way, and see
    the state at their begin. One write runs at a time, over all processes. Every method has an
    async twin with the prefix `a` that does the same in a worker thread.
    """

    def __init__(self, index: Index, encoder: TokenEncoder, search: SearchConfig) -> None:
        """Join an open index with its model; use `Engine.open`."""
        self._index = index
        self._encoder = encoder
        self._search_config = search

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        encoder: TokenEncoder | None = None,
        config: IndexConfig | None = None,
        search: SearchConfig = SearchConfig(),  # noqa: B008 - immutable
        create: bool = True,
    ) -> Self:
        """Open the index in a folder, with the calibration that `fgr calibrate` left in it, if any.

        Args:
            path: The folder of the index.
            encoder: The model; None takes the embedded one.
            config: How a new index stores vectors; None takes the defaults.
            search: How searches run.
            create: Make an empty index when there is none.

        Raises:
            IndexNotFoundError: There is no index and `create` is False, or the folder holds
                something else.
            ModelMismatchError: The index was built with another model.
            ConfigError: The index was created with another config.
            IndexFormatError: The index has a format that this version cannot read.
            IndexCorruptError: A file is damaged, missing or has the wrong size.
            IndexWriteError: The disk refused to create it.
        """
        if encoder is None:
            from fgr_retriever.encoder import Encoder  # loads the model code only where it is used

            encoder = Encoder.default()
        index = Index.open(path, encoder, config, create=create)
        return cls(index, index.calibrated_model(), search)

    def add(self, passages: Iterable[Passage], *, progress: bool = False) -> int:
        """Index passages: all of them, or on any error none.

        Reads `passages` once and never holds all of them. A passage whose id is stored already
        replaces the stored one.

        Args:
            passages: What to index; ids are unique within one call.
            progress: Show a progress bar on stderr.

        Returns:
            How many passages were added or replaced.

        Raises:
            InputError: A passage cannot be stored, or its id comes twice.
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused.
        """
        return self._index.add(passages, progress=progress)

    def search(
        self, query: str, *, k: int = 10, filter: Filter | None = None, trim: TrimConfig | None = None
    ) -> list[Hit]:
        """Find the best passages for a query, with their evidence.

        Args:
            query: The question, not blank.
            k: How many passages to find at most.
            filter: Which passages count, by their metadata: `{"year": {"$gte": 1900}}`; all
                operators are in `fgr_retriever.index.filters`.
            trim: How evidence becomes spans; None takes the defaults.

        Returns:
            Hits, best first; equals in the order in which they were added.

        Raises:
            InputError: The query is blank or the filter is invalid.
            ConfigError: `k` is not an integer of at least 1.
            IndexCorruptError: What is stored is damaged.
        """
        return self.search_batch([query], k=k, filter=filter, trim=trim)[0]

    def search_batch(
        self, queries: Sequence[str], *, k: int = 10, filter: Filter | None = None, trim: TrimConfig | None = None
    ) -> list[list[Hit]]:
        """Find the best passages for many queries at once; see `search`."""
        if isinstance(queries, str):
            raise InputError(f"queries {queries!r:.200}: must be a sequence of strings; use search for one query")
        for query in queries:
            check_query(query)
        config = trim or TrimConfig()
        vectors = self._encoder.encode_queries(queries)
        found = self._index.search(vectors, k, filter, self._search_config)
        return [self._hits(query, matches, config) for query, matches in zip(vectors, found, strict=True)]

    def retrieve(
        self,
        query: str,
        *,
        k: int = 5,
        filter: Filter | None = None,
        trim: TrimConfig | None = None,
        count_tokens: TokenCounter | None = None,
    ) -> Context:
        """Find the best passages and trim them for a prompt.

        Args:
            query: The question, not blank.
            k: How many passages to find at most.
            filter: Which passages count, by their metadata; see `search`.
            trim: How to trim; None takes the defaults.
            count_tokens: What counts the tokens; None takes the tokenizer of `trim` if there is a
                budget, and else counts nothing: a tokenizer may be a download.

        Raises:
            InputError: The query is blank or the filter is invalid.
            ConfigError: `k` is not an integer of at least 1.
            TokenCounterError: There is a budget, and the tokenizer cannot be had.
            IndexCorruptError: What is stored is damaged.
        """
        config = trim or TrimConfig()
        limited = config.max_tokens is not None
        count = count_tokens or (token_counter(config.tokenizer) if limited else None)
        hits = self.search(query, k=k, filter=filter, trim=config)
        scored = [Scored(hit.passage.text, hit.token_scores, hit.score) for hit in hits]
        trimmed = trim_scored(scored, *resolve_cut(self._encoder.calibration, config), count if limited else None)
        text = assemble(trimmed, config)
        before = sum(count(hit.passage.text) for hit in hits) if count else None
        after = count(text) if count else None
        return Context(query, tuple(hits), tuple(trimmed), text, tokens_before=before, tokens_after=after)

    def get(self, ids: Iterable[str]) -> list[Passage]:
        """Fetch passages by id, in the order of the ids; unknown ids are left out.

        Raises:
            InputError: An id is not a string.
        """
        return self._index.get(ids)

    def delete(self, ids: Iterable[str]) -> int:
        """Delete passages and return how many there were; unknown ids are left out.

        Raises:
            InputError: An id is not a string.
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused.
        """
        return self._index.delete(ids)

    def __len__(self) -> int:
        """Count the passages."""
        return len(self._index)

    def __contains__(self, id: object) -> bool:
        """Say whether there is a passage with this id."""
        return id in self._index

    @property
    def folder(self) -> Path:
        """The folder of the index; copying it while nobody writes is a backup."""
        return self._index.folder

    def info(self) -> IndexInfo:
        """Describe the index in JSON-safe values."""
        return self._index.info()

    def verify(self) -> None:
        """Check every stored byte.

        Raises:
            IndexCorruptError: Something is damaged; names it.
        """
        self._index.verify()

    def compact(self) -> None:
        """Rewrite the index without what was deleted or replaced, into few files.

        Raises:
            IndexLockedError: Another process or engine is writing.
            IndexWriteError: The disk refused.
        """
        self._index.compact()

    def close(self) -> None:
        """Close the files; every later call raises InputError."""
        self._index.close()

    aadd = _in_thread(add)
    asearch = _in_thread(search)
    asearch_batch = _in_thread(search_batch)
    aretrieve = _in_thread(retrieve)
    aget = _in_thread(get)
    adelete = _in_thread(delete)
    ainfo = _in_thread(info)
    averify = _in_thread(verify)
    acompact = _in_thread(compact)
    aclose = _in_thread(close)

    @classmethod
    async def aopen(
        cls,
        path: str | Path,
        *,
        encoder: TokenEncoder | None = None,
        config: IndexConfig | None = None,
        search: SearchConfig = SearchConfig(),  # noqa: B008 - immutable
        create: bool = True,
    ) -> Self:
        """Open the index in a folder, in a worker thread; see `open`."""
        return await asyncio.to_thread(cls.open, path, encoder=encoder, config=config, search=search, create=create)

    def __enter__(self) -> Self:
        """Use the engine in a `with` block."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the files."""
        self.close()

    async def __aenter__(self) -> Self:
        """Use the engine in an `async with` block."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the files."""
        await asyncio.to_thread(self.close)

    def _hits(self, query: Tensor, matches: Sequence[Match], config: TrimConfig) -> list[Hit]:
        """Turn what the index found into hits with evidence."""
        config, threshold = resolve_cut(self._encoder.calibration, config)
        found = evidence_of(self._encoder, query, [match.tokens for match in matches])
        return [
            Hit(match.passage, match.score, rank, find_spans(match.passage.text, evidence, config, threshold), evidence)
            for rank, (match, evidence) in enumerate(zip(matches, found, strict=True), start=1)
        ]
