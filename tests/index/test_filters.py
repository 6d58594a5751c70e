"""Metadata filters: every operator, missing keys, types, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.errors import InputError
from fgr_retriever.index.filters import compile_filter

RADIUM = {"year": 1898, "lang": "en", "good": True, "tags": ["a", "b"], "by": {"name": "Curie"}, "x.y": 1, "none": None}


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({}, True),
        ({"lang": "en"}, True),
        ({"lang": "en", "year": 1900}, False),
        ({"year": 1898.0}, True),
        ({"year": {"$eq": 1898}}, True),
        ({"year": {"$ne": 1898}}, False),
        ({"year": {"$gte": 1898, "$lt": 1899}}, True),
        ({"year": {"$gt": 1898}}, False),
        ({"year": {"$lte": 1897}}, False),
        ({"year": {"$gte": "1898"}}, False),
        ({"lang": {"$gt": "de"}}, True),
        ({"lang": {"$gt": 0}}, False),
        ({"good": {"$gt": 0}}, False),
        ({"good": True}, True),
        ({"good": 1}, False),
        ({"year": {"$in": [1, 1898]}}, True),
        ({"good": {"$in": [1]}}, False),
        ({"year": {"$nin": [1, 1898]}}, False),
        ({"year": {"$in": []}}, False),
        ({"tags": ["a", "b"]}, True),
        ({"tags": ["b", "a"]}, False),
        ({"tags": {"$contains": "a"}}, True),
        ({"tags": {"$contains": "ab"}}, False),
        ({"lang": {"$contains": "n"}}, True),
        ({"lang": {"$contains": "N"}}, False),
        ({"year": {"$contains": 1898}}, False),
        ({"lang": {"$icontains": "N"}}, True),
        ({"tags": {"$icontains": "a"}}, False),
        ({"missing": {"$contains": "a"}}, False),
        ({"missing": {"$icontains": "a"}}, False),
        ({"by": {"name": "Curie"}}, True),
        ({"by.name": "Curie"}, True),
        ({"by.born": 1867}, False),
        ({"lang.name": "en"}, False),
        ({"x.y": 1}, True),
        ({"none": None}, True),
        ({"none": {"$exists": True}}, True),
        ({"lang": {"$exists": False}}, False),
        ({"$and": [{"lang": "en"}, {"year": 1898}]}, True),
        ({"$and": [{"lang": "en"}, {"year": 1}]}, False),
        ({"$or": [{"lang": "de"}, {"year": 1898}]}, True),
        ({"$or": [{"lang": "de"}, {"year": 1}]}, False),
        ({"$not": {"lang": "de"}}, True),
        ({"$not": {"$or": [{"lang": "en"}, {"lang": "de"}]}}, False),
    ],
)
def test_operators(filter, expected):
    assert compile_filter(filter)(RADIUM) is expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, False),
        ({"$eq": None}, False),
        ({"$gt": 0}, False),
        ({"$lte": "z"}, False),
        ({"$in": [None]}, False),
        ({"$ne": 1}, True),
        ({"$nin": [1]}, True),
        ({"$exists": False}, True),
        ({"$exists": True}, False),
    ],
)
def test_a_missing_key_matches_only_ne_nin_and_not_exists(condition, expected):
    assert compile_filter({"missing": condition})(RADIUM) is expected


@pytest.mark.parametrize(
    ("filter", "named"),
    [
        ({"year": {"$near": 3}}, r"\$near"),
        ({"year": {"$gte": 3, "lt": 4}}, "lt"),
        ({"year": {"gte": 3}}, r"begin with \$"),
        ({"$xor": []}, r"\$xor"),
        ({3: 4}, "3"),
        ({"$and": {"a": 1}}, r"\$and"),
        ({"$or": []}, r"\$or"),
        ({"$not": ["a"]}, r"\['a'\]"),
        ({"year": {"$in": "abc"}}, r"\$in"),
        ({"year": {"$exists": 1}}, r"\$exists"),
        ({"year": {"$gt": None}}, r"\$gt None"),
        ({"year": {"$gt": True}}, r"\$gt True"),
        ([("year", 3)], "mapping"),
    ],
)
def test_what_is_no_filter_is_refused_by_name(filter, named):
    with pytest.raises(InputError, match=named):
        compile_filter(filter)


values = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([0.0, 1.0, "a", "b"]))
metadata = st.dictionaries(st.sampled_from("pq"), values, max_size=2)
conditions = st.one_of(
    values,
    st.builds(lambda v: {"$ne": v}, values),
    st.builds(lambda v: {"$gte": v}, st.integers(-2, 2)),
    st.builds(lambda v: {"$in": v}, st.lists(values, max_size=3)),
)
filters = st.dictionaries(st.sampled_from("pq"), conditions, max_size=2)


@given(metadata, filters, filters)
def test_logic(data, left, right):
    def holds(filter):
        return compile_filter(filter)(data)

    assert holds({"$not": left}) != holds(left)
    assert holds({"$and": [left, right]}) == (holds(left) and holds(right))
    assert holds({"$or": [left, right]}) == (holds(left) or holds(right))
    assert all(holds({key: {"$eq": data[key]}}) != holds({key: {"$ne": data[key]}}) for key in data)


COUNT = 5_000
MANY = {
    "or": {"$or": [{"year": number} for number in range(COUNT)]},
    "or in": {"$or": [{"year": {"$in": [number]}} for number in range(COUNT)]},
    "and": {"$and": [{"year": {"$ne": number}} for number in range(COUNT)]},
    "in": {"year": {"$in": [*range(COUNT)]}},
    "nin": {"year": {"$nin": [[number, {"a": True}] for number in range(COUNT)]}},
}


@pytest.mark.parametrize("name", MANY)
def test_many_values_of_one_key_are_not_looked_at_one_by_one(name):
    class Value(int):
        compared = 0

        def __eq__(self, other):
            type(self).compared += 1
            return int(self) == other

        __hash__ = int.__hash__

    matches = compile_filter(MANY[name])
    assert matches({"year": Value(COUNT)}) is (name in ("and", "nin"))
    assert matches({"year": Value(COUNT - 1)}) is (name in ("or", "or in", "in", "nin"))
    assert Value.compared < 10


@pytest.mark.parametrize(
    "part", [{"a": {"b": 1}}, {"a": {"$gt": 1}}, {"a": {"$in": {1, 2}}}, {"$not": {"a": 1}}, {"a": 1, "b": 1}]
)
def test_alternatives_of_other_kinds_stay_as_they_are(part):
    for data in ({"a": {"b": 1}}, {"a": 2}, {"a": 1, "b": 1}, {}):
        alone = compile_filter(part)(data)
        assert compile_filter({"$or": [part, {"a": "x"}, {"a": "y"}]})(data) is alone
        assert compile_filter({"$and": [part, {"a": {"$ne": "x"}}, {"a": {"$ne": "y"}}]})(data) is alone


nested = st.recursive(values, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("pq"), inner))


@given(nested, nested)
def test_equality_is_that_of_json(left, right):
    def same(one, other):
        if isinstance(one, bool) or isinstance(other, bool):
            return one is other
        if isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(same, one, other))
        if isinstance(one, dict) and isinstance(other, dict):
            return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        return one == other

    data = {"k": left}
    assert compile_filter({"k": {"$eq": right}})(data) is same(left, right)
    assert compile_filter({"k": {"$in": ["x", right]}})(data) is (same(left, right) or left == "x")
    assert compile_filter({"k": {"$contains": right}})({"k": [left]}) is same(left, right)
    assert compile_filter({"$or": [{"k": {"$eq": right}}, {"k": "x"}]})(data) is (same(left, right) or left == "x")


def test_what_is_no_json_value_is_refused():
    with pytest.raises(InputError, match="JSON values"):
        compile_filter({"k": {"$eq": {1, 2}}})


@pytest.mark.parametrize("filter", [{"$nor": [{"year": 1}]}, {"$gt": 3}, {"year": {"$near": 1}}, {"year": {"$not": 1}}])
def test_an_unknown_operator_is_told_all_that_there_are(filter):
    with pytest.raises(InputError) as caught:
        compile_filter(filter)
    told = str(caught.value).split(": ", 1)[1]
    assert all(f"{name}," in told for name in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$contains"))
    assert all(name in told for name in ("$icontains", "$exists", "$and", "$or", "$not"))
