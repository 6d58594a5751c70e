"""A filter means the same over a collection as over a folder, or is refused: any filter, any metadata."""

import math

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from qdrant_client import models

from fgr_retriever.errors import InputError
from fgr_retriever.index.filters import compile_filter
from fgr_retriever.index.qdrant.collection import created
from fgr_retriever.index.qdrant.conditions import conditions, exists
from fgr_retriever.index.qdrant.facets import CHUNKS, chunks, facets, name_of
from fgr_retriever.index.qdrant.facts import Facts
from fgr_retriever.index.qdrant.layout import point_id
from fgr_retriever.index.qdrant.place import QdrantCollection
from fgr_retriever.index.qdrant.reading import scroll
from fgr_retriever.index.qdrant.server import Server
from tests.index.qdrant.conftest import make_client

LONG = "x" * 47
STRINGS = (
    "",
    "a",
    "ab",
    "abcdef",
    "abcdefg",
    "ABC",
    "Straße",
    "STRASSE",
    "x\0y",
    "\ud800",
    "a\ud800b",
    "\uffff",
    LONG,
    LONG + "y",
)
NUMBERS = (0, 1, -1, 1.0, 0.5, 2, -0.0, 2**53, 2**53 + 1, 1e300, 10**400, 5e-324)
SCALARS = (None, True, False, *STRINGS, *NUMBERS)
KEYS = ("a", "b", "a.b", "", "é", "a-b", "A_1", "a.b.c", ".")
VALUES = (
    *SCALARS,
    *([one, "a"] for one in SCALARS),
    [],
    [[1], [True]],
    {"b": 1},
    {"b": True},
    {"b": {"c": "ab"}},
    {"b.c": 2},
    {"": [1.0]},
    {"b": list(range(40))},
)
METADATA = (
    *({KEYS[place % len(KEYS)]: value} for place, value in enumerate(VALUES)),
    *({"a": value, KEYS[place % len(KEYS)]: VALUES[-place]} for place, value in enumerate(VALUES)),
    {},
)

values = st.sampled_from(VALUES)
operators = st.one_of(
    st.fixed_dictionaries({}, optional={"$eq": values, "$ne": values}).filter(bool),
    st.dictionaries(
        st.sampled_from(("$gt", "$gte", "$lt", "$lte")), st.sampled_from((*STRINGS, *NUMBERS, math.inf)), min_size=1
    ),
    st.dictionaries(st.sampled_from(("$in", "$nin")), st.lists(values, max_size=4), min_size=1),
    st.builds(lambda one: {"$contains": one}, values),
    st.builds(lambda one: {"$icontains": one}, st.sampled_from(STRINGS)),
    st.builds(lambda one: {"$exists": one}, st.booleans()),
)
clauses = st.dictionaries(st.sampled_from(KEYS), st.one_of(operators, st.sampled_from(SCALARS)), max_size=2)
filters = st.recursive(
    clauses,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"$and": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"$or": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one: {"$not": one}, inner),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module", params=("memory", "core"))
def server(request, tmp_path_factory):
    """A collection whose points have facets, and nothing else."""
    place = QdrantCollection(
        make_client(request.param, tmp_path_factory.mktemp("core") / "core"), "p", fields=("a", "b")
    )
    made = Server(place, owned=True)
    created(made, Facts("model", 8, "exact"))
    points = [
        models.PointStruct(id=point_id(str(row)), vector={}, payload={"row": row, "f": facets(metadata)})
        for row, metadata in enumerate(METADATA)
    ]
    made("upsert", points=points, wait=True)
    yield made
    made.close()


def passing(server, filter):
    return sorted(one.payload["row"] for one in scroll(server, ["row"], conditions(filter)))


def expected(filter):
    matches = compile_filter(filter)
    return [row for row, metadata in enumerate(METADATA) if matches(metadata)]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters)
@example({"$not": {}})
@example({"$or": [{}, {"a": 1}]})
@example({"a": {"$in": []}})
@example({"a": {"$nin": []}})
@example({"a": {"$lte": "abcdef"}})
@example({"a": {"$gt": "abcdef"}})
@example({"a": {"$contains": ""}})
@example({"a": {"$icontains": ""}})
@example({"a": {"$lt": math.inf}})
@example({"a": {"$gt": math.inf}})
@example({"a": {"$gt": math.nan}})
@example({"a": {"$eq": math.nan}})
def test_a_filter_passes_the_same_metadata_as_over_a_folder(server, filter):
    try:
        found = passing(server, filter)
    except InputError:
        return
    assert found == expected(filter)


@pytest.mark.parametrize(
    ("filter", "named"),
    [
        ({"a": {"$gt": "x" * 48}}, r"\$gt"),
        ({"$not": {"a": {"$lte": "ß" * 24}}}, r"\$lte"),
        ({"a": {"$gte": 2**53}}, r"\$gte"),
        ({"a": {"$lt": -1e300}}, r"\$lt"),
        ({"$or": [{"a": {"$contains": "\ud800"}}]}, r"\$contains"),
        ({"a": {"$icontains": "\uffff"}}, r"\$icontains"),
        ({"a": {"$eq": {1: 2}}}, "keys must be strings"),
        ({"a": {"$in": [b"x"]}}, "must be a JSON value"),
        ({"a": {"$near": 1}}, r"\$near"),
    ],
)
def test_what_cannot_be_compared_exactly_is_refused_by_name(filter, named):
    with pytest.raises(InputError, match=named):
        conditions(filter)


@pytest.mark.parametrize("filter", [{"a": {"$gte": LONG}}, {"a": {"$lt": 2**53 - 1}}, {"a": {"$contains": "\ud7ff"}}])
def test_the_last_that_can_be_compared_is_not_refused(filter):
    conditions(filter)


@given(st.text(st.characters(exclude_categories=())), st.text(st.characters(exclude_categories=())))
def test_chunks_have_the_order_of_strings_up_to_47_bytes(first, second):
    if max(len(one.encode("utf-8", "surrogatepass")) for one in (first, second)) < 6 * CHUNKS:
        assert (chunks(first) < chunks(second)) == (first < second)
        assert (chunks(first) == chunks(second)) == (first == second)


def test_chunks_by_hand():
    assert chunks("") == [0]
    assert chunks("a") == [98 * 257**5]
    assert chunks("\0") == [257**5]
    assert chunks("abcdef")[1:] == [0]
    assert len(chunks("x" * 48)) == len(chunks("x" * 100)) == 8
    assert max(chunks("\U0010ffff" * 40)) < 2**53


@given(st.text(max_size=5), st.text(max_size=5))
def test_different_keys_have_different_names(first, second):
    assert (name_of(first) == name_of(second)) == (first == second)


def test_a_key_exists_whole_or_along_its_dots(server):
    found = sorted(one.payload["row"] for one in scroll(server, ["row"], exists("a.b")))
    assert found == expected({"a.b": {"$exists": True}})
    assert len(found) > 3
