"""Go through the passages of a collection, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from qdrant_client import models

from fgr_retriever.calls import check_time
from fgr_retriever.index.qdrant.layout import ROW, TOKENS
from fgr_retriever.index.qdrant.server import Server

PAGE = 1000  # points without vectors
VECTORS_PAGE = 64  # points with vectors: some megabytes

_T = TypeVar("_T")


def only_passages(filter: models.Filter | None = None) -> models.Filter:
    """Leave out the points that say what the collection is: only passages have a row."""
    passages = models.FieldCondition(key=ROW, range=models.Range(gte=0))
    return models.Filter(must=[passages] if filter in (None, models.Filter()) else [passages, filter])


def all_passages(server: Server, filter: models.Filter | None = None) -> int:
    """Count the passages that pass."""
    return int(server("count", count_filter=only_passages(filter), exact=True).count)


def scroll(
    server: Server, payload: Sequence[str], filter: models.Filter | None = None, *, vectors: Sequence[str] = ()
) -> Iterator[Any]:
    """Go through the points of the passages that pass, in the order of their ids, which is no order.

    Args:
        server: The collection.
        payload: What is read of each.
        filter: Which pass; None lets all pass.
        vectors: Names of vectors that are read, too.
    """
    offset = None
    while True:
        check_time()
        points, offset = server(
            "scroll",
            scroll_filter=only_passages(filter),
            limit=VECTORS_PAGE if vectors else PAGE,
            offset=offset,
            with_payload=list(payload),
            with_vectors=list(vectors) or False,
        )
        yield from points
        if offset is None:
            return


def retrieve(server: Server, ids: Iterable[str], payload: Sequence[str], *, vectors: bool = False) -> Iterator[Any]:
    """Read points by their ids, in any order; those that are not there are left out."""
    for some in batches(ids, VECTORS_PAGE if vectors else PAGE):
        check_time()
        wanted = [TOKENS] if vectors else False
        yield from server("retrieve", ids=some, with_payload=list(payload), with_vectors=wanted)


def batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """Cut anything into lists of a size."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
