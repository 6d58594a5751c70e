"""The OpenAPI document against the server: what it allows is accepted, what it forbids is refused."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from benchmarks.serve.fuzz import fuzz
from benchmarks.serve.servers import running
from fgr_retriever import Engine, Passage
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.serve import Slots, create_app
from fgr_retriever.serve.config import ServeConfig
from fgr_retriever.serve.filter_schema import MAX_CONDITIONS, MAX_PARTS
from fgr_retriever.testing import WordEncoder

OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$contains", "$icontains", "$exists"]

texts = st.text(st.characters(codec="utf-8"), max_size=4) | st.sampled_from([" ", "\x1c", "\x85", "﻿", "radium", ""])
numbers = st.sampled_from([0, 1, 5, 50, 51, -1, 5.0, 0.5, -0.0, 1e300, 10**30, 1_000_000, 1_000_001, 1e6])
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
names = st.sampled_from(["year", "a.b", "", "$", "$foo", "eq", "in", "$and", "$or", "$not", *OPERATORS]) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=6
)
operands = st.dictionaries(st.sampled_from(OPERATORS), values, min_size=1, max_size=2)
filters = st.recursive(
    st.dictionaries(names, values | operands, max_size=2),
    lambda inner: st.fixed_dictionaries(
        {}, optional={"$and": st.lists(inner, max_size=2), "$not": inner, "year": values}
    ),
    max_leaves=4,
)
trims = st.fixed_dictionaries(
    {},
    optional={
        "threshold": values,
        "max_tokens": values,
        "unit": st.sampled_from(["token", "page"]) | values,
        "on_empty": st.sampled_from(["drop", "sink"]) | values,
        "colour": values,
    },
)
searches = st.fixed_dictionaries(
    {"query": st.just("radium") | values},
    optional={"k": values, "filter": filters | values, "trim": trims | values, "colour": values},
)
anything = searches | st.fixed_dictionaries({}, optional={"k": values}) | values


@pytest.fixture(scope="module")
def client(kept_in, tmp_path_factory):
    with Engine.open(tmp_path_factory.mktemp("schema"), encoder=WordEncoder()) as engine:
        engine.add([Passage("a", "Radium glows.", {"year": 1898, "tags": ["x"]}), Passage("b", "Zinc.", {"year": "y"})])
        app = create_app(engine, len, slots=Slots(ServeConfig(searches=1)))
        with TestClient(app, base_url="http://localhost") as client:
            yield client


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def validator(document, name):
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


def send(client, path, body):
    return client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})


@settings(max_examples=400)
@given(body=anything)
@example(body={"query": "radium", "k": 5.0, "trim": {"max_tokens": 10.0}})
@example(body={"query": "radium", "k": 5.5})
@example(body={"query": "radium", "k": True})
@example(body={"query": "\x1c\x85 "})
@example(body={"query": "﻿"})
@example(body={"query": "radium", "filter": {"year": {"gte": 1}}})
@example(body={"query": "radium", "filter": {"year": {"$gte": 1, "lt": 3}}})
@example(body={"query": "radium", "filter": {"$or": []}})
@example(body={"query": "radium", "filter": {"year": {}}})
@example(body={"query": "radium", "filter": {"": {"eq\n": 1}}})
def test_a_search_is_accepted_exactly_if_the_document_allows_it(client, document, body):
    response = send(client, "/api/search", body)
    allowed = validator(document, "SearchRequest").is_valid(body)
    assert (response.status_code == 200) == allowed, response.text
    assert response.status_code in (200, 422)


@settings(max_examples=150)
@given(body=st.fixed_dictionaries({}, optional={"search": values, "trim": trims | values}) | values)
def test_a_trim_is_accepted_exactly_if_the_document_allows_it(client, document, body):
    if isinstance(body, dict) and body.get("search") == "radium":
        body = {**body, "search": send(client, "/api/search", {"query": "radium"}).json()["search"]}
    response = send(client, "/api/trim", body)
    allowed = validator(document, "TrimRequest").is_valid(body)
    assert (response.status_code in (200, 404)) == allowed, response.text  # 404: it does not remember the search
    assert response.status_code in (200, 404, 422)


def keys(schema):
    """List the keywords of a schema and of all within it."""
    if isinstance(schema, dict):
        for name, part in schema.items():
            yield name
            yield from keys(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from keys(part)


def test_the_document_has_only_keywords_of_json_schema(document):
    request = [document["components"]["schemas"][name] for name in ("SearchRequest", "TrimSettings", "TrimRequest")]
    assert {"minimum", "maximum", "maxLength"} <= set(keys(request))
    assert not {"ge", "le", "max_length"} & set(keys(request))


@pytest.mark.parametrize(
    ("filter", "told"),
    [
        ({"$or": [{f"k{number}": 1} for number in range(MAX_PARTS + 1)]}, f"more than {MAX_PARTS} members"),
        ({f"k{number}": 1 for number in range(MAX_PARTS + 1)}, f"more than {MAX_PARTS} members"),
        ({"$or": [{"a": {"$gt": 1, "$lt": 3, "$ne": 2}}] * MAX_PARTS}, f"more than {MAX_CONDITIONS} conditions"),
        ({"$or": [{}] * MAX_PARTS, "$and": [{}] * MAX_PARTS, "$not": {}}, f"more than {MAX_CONDITIONS} conditions"),
    ],
)
def test_a_filter_has_a_bounded_number_of_conditions(client, filter, told):
    response = send(client, "/api/search", {"query": "radium", "filter": filter})
    assert response.status_code == 422
    assert told in response.json()["detail"]


def test_a_filter_may_have_that_many(client):
    asked = {"$or": [{f"k{number}": 1} for number in range(MAX_PARTS)], "$and": [{}] * (MAX_CONDITIONS - MAX_PARTS)}
    assert send(client, "/api/search", {"query": "radium", "filter": asked}).status_code == 200


def test_values_in_a_list_are_no_conditions(client):
    asked = {"query": "radium", "filter": {"year": {"$in": list(range(5_000))}}}
    assert send(client, "/api/search", asked).status_code == 200


@pytest.mark.folders
@pytest.mark.golden
@pytest.mark.slow
def test_schemathesis_finds_nothing(kept_in, tmp_path):
    pytest.importorskip("schemathesis")
    with Engine.open(tmp_path, encoder=Encoder.default(device="cpu")) as engine:
        engine.add([Passage("a", "Radium glows.", {"year": 1898})])
    with running("serve", tmp_path, "--device", "cpu") as server:
        done = fuzz(server, examples=5)
    assert done.returncode == 0, done.stdout
