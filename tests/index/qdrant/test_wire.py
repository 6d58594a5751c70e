"""What is sent to a server by gRPC arrives as it was meant: the client's own conversion, there and back."""

import pytest
import torch
from qdrant_client import models
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc

from fgr_retriever.index.qdrant.conditions import conditions
from fgr_retriever.index.qdrant.facts import _point
from fgr_retriever.index.qdrant.layout import to_point
from fgr_retriever.index.qdrant.reading import only_passages
from fgr_retriever.index.qdrant.search import _candidates
from fgr_retriever.index.qdrant.words import _weighted
from fgr_retriever.index.storage.lexicon import Lexicon
from fgr_retriever.index.storage.passage_row import to_row
from fgr_retriever.model.tokens import StoredTokens
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Passage

FILTERS = (
    None,
    {"a": {"$in": []}},
    {"$not": {"a": 1}},
    {"$or": [{"a": {"$contains": "x"}}, {"b": {"$icontains": "ß"}}]},
    {"a": {"$gte": "2024-01-01", "$lt": 3.5}},
    {"a": {"$exists": False}, "b": None},
)


@pytest.mark.parametrize("filter", FILTERS, ids=repr)
def test_filters(filter):
    sent = only_passages(conditions(filter))
    got = GrpcToRest.convert_filter(RestToGrpc.convert_filter(sent))
    assert normal(got) == normal(sent)


def normal(filter):
    """Give a filter as values; an empty clause and none at all are the same message."""
    return _without_empty(filter.model_dump(exclude_none=True))


def _without_empty(value):
    if isinstance(value, dict):
        clauses = ("must", "should", "must_not")
        return {key: _without_empty(item) for key, item in value.items() if item or key not in clauses}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("text", ["Radium glows", " ", "half \ud83d"], ids=ascii)
def test_points(text):
    (block,) = WordEncoder().encode_passages([text], evidence=True)
    row = to_row(Passage("é", text, {"n": 10**30, "x": 0.5, "deep": {"a": [None, True]}}), units=True)
    centroids = torch.eye(128)[:4]
    sent = to_point(
        row, 1_700_000_000_000_000, StoredTokens.of([block]), centroids, _weighted(Lexicon("plain").words(text), 3.0)
    )
    got = GrpcToRest.convert_point_struct(RestToGrpc.convert_point_struct(sent))
    assert (got.id, got.payload) == (sent.id, sent.payload)
    assert set(got.vector or {}) == set(sent.vector)
    for name, vector in sent.vector.items():
        if isinstance(vector, models.SparseVector):
            assert got.vector[name].indices == vector.indices
            assert got.vector[name].values == pytest.approx(vector.values)
        else:
            assert torch.allclose(torch.tensor(got.vector[name]), torch.tensor(vector))


def test_points_of_facts_have_no_vectors():
    got = GrpcToRest.convert_point_struct(RestToGrpc.convert_point_struct(_point("fgr", {"fgr": "{}"})))
    assert (got.payload, got.vector or {}) == ({"fgr": "{}"}, {})


def test_candidates():
    query = WordEncoder().encode_queries(["radium glows"])[0]
    centroids = torch.nn.functional.normalize(torch.randn(40, 128, generator=torch.Generator().manual_seed(0)), dim=1)
    for sent in _candidates(query, conditions({"a": 1}), 10, centroids, 8):
        got = GrpcToRest.convert_prefetch_query(RestToGrpc.convert_prefetch_query(sent))
        assert (got.using, got.limit, normal(got.filter)) == (sent.using, 5, normal(sent.filter))
