"""Pipelines: stages that join and rank, their JSON form, and the engine that runs them."""

import itertools
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgr_retriever.calls import Stopwatch
from fgr_retriever.cli import main
from fgr_retriever.config import IndexConfig, SearchConfig, TrimConfig
from fgr_retriever.engine import Engine
from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.search.pipeline import Pipeline
from fgr_retriever.search.stages import Candidate, Request, Stage, read_stage, stage_class, stage_kinds
from fgr_retriever.search.stages.fuse import Fuse
from fgr_retriever.search.stages.late import Late
from fgr_retriever.search.stages.words import Words
from fgr_retriever.testing import WordEncoder, tiny_checkpoint
from fgr_retriever.types import Passage

ENCODER = WordEncoder()
PASSAGES = [
    Passage("kiln", "A kiln fires clay until it is hard. Gas kilns are quick.", {"n": 1}),
    Passage("glaze", "Glazes melt in the kiln and run down the pot.", {"n": 2}),
    Passage("wheel", "The potter centres the clay on the wheel.", {"n": 3}),
    Passage("slip", "Slip is clay stirred into water, thin as cream.", {"n": 4}),
    Passage("bread", "Bakers fire their ovens with wood, too.", {"n": 5}),
    Passage("empty", "!?", {"n": 6}),
]
HYBRID = Pipeline((Fuse(stages=(Late(count=4), Words(count=4))),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed(Stage):
    """A first stage of somebody else's: always the same candidates."""

    kind: ClassVar[str] = "fixed"
    ranking: tuple[tuple[str, float], ...] = ()

    def run(self, request, candidates):
        return [Candidate(id, score, {self.label: score}) for id, score in self.ranking]


@pytest.fixture(scope="module")
def folder(kept_in, tmp_path_factory):
    """An index that keeps words: a folder, and a collection in its place."""
    folder = tmp_path_factory.mktemp("pipeline") / "index"
    with Engine.open(folder, encoder=ENCODER, config=IndexConfig(words="english")) as engine:
        engine.add(PASSAGES)
    return folder


@pytest.fixture
def opened(folder):
    """Open the index with a pipeline."""
    engines = []

    def build(*stages, **options):
        pipeline = Pipeline(stages) if stages else None
        engines.append(Engine.open(folder, encoder=ENCODER, pipeline=pipeline, **options))
        return engines[-1]

    yield build
    for engine in engines:
        engine.close()


@pytest.fixture
def asked(opened):
    """Make a request to a stage."""

    def build(query="kiln clay", k=3, filter=None):
        index = opened()._index
        (vectors,) = ENCODER.encode_queries([query])
        return Request(query, vectors, filter, index, ENCODER, k, TrimConfig(), Stopwatch())

    return build


def test_rank_gives_ids_and_scores_of_the_hits(opened):
    for stages in [HYBRID.stages, (Fixed(ranking=(("gone", 3.0), ("glaze", 2.0), ("empty", 1.5), ("bread", 1.0))),)]:
        engine = opened(*stages)
        hits = engine.search("clay in the kiln", k=4)
        assert engine.rank("clay in the kiln", k=4) == [(hit.passage.id, hit.score) for hit in hits]
        assert hits


def ids(candidates):
    return [one.id for one in candidates]


# --- the engine -------------------------------------------------------------------------------


@pytest.mark.parametrize("search", [SearchConfig(), SearchConfig(exact=True)])
def test_late_alone_gives_what_no_pipeline_gives(opened, search):
    plain, staged = opened(search=search), opened(Late(count=1), search=search)
    for query, k, filter in itertools.product(["clay in the kiln", "wood", "zirconium"], [1, 3, 9], [None, {"n": 4}]):
        for one, other in zip(
            plain.search(query, k=k, filter=filter), staged.search(query, k=k, filter=filter), strict=True
        ):
            assert (one.passage, one.score, one.rank, one.spans, one.scores) == (
                other.passage,
                other.score,
                other.rank,
                other.spans,
                other.scores,
            )
        before, after = plain.retrieve(query, k=k, filter=filter), staged.retrieve(query, k=k, filter=filter)
        assert (before.text, before.trimmed) == (after.text, after.trimmed)
    batches = plain.search_batch(["clay", "wood"]), staged.search_batch(["clay", "wood"])
    first, second = ([[(hit.passage.id, hit.score) for hit in hits] for hits in batch] for batch in batches)
    assert first == second


def test_a_hit_has_the_score_that_ranks_it_and_those_of_all_stages(opened):
    hits = opened(Late(count=6), Words(count=4)).search("fires clay", k=3)
    assert [hit.rank for hit in hits] == [1, 2, 3]
    for hit in hits:
        assert hit.scores.keys() == {"late", "words"}
        assert hit.score == hit.scores["words"]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    maxsim = {hit.passage.id: hit.score for hit in opened().search("fires clay", k=9)}
    assert {hit.passage.id: hit.scores["late"] for hit in hits} == {
        hit.passage.id: maxsim[hit.passage.id] for hit in hits
    }


def test_stages_of_the_same_kind_are_told_apart_by_their_names(opened):
    pair = Fixed(ranking=(("kiln", 3.0),), name="strict"), Fixed(ranking=(("kiln", 1.0), ("wheel", 0.5)), name="lax")
    context = opened(Fuse(stages=pair), Words(name="bm25")).retrieve("fires clay", k=2)
    kiln, wheel = (hit.scores for hit in context.hits)
    assert (kiln["strict"], kiln["lax"], wheel["lax"]) == (3.0, 1.0, 0.5)
    assert wheel.keys() == {"lax", "fuse", "bm25", "late"}
    assert list(context.report.times_ms)[1:5] == ["fuse.strict", "fuse.lax", "fuse", "bm25"]
    assert Pipeline((Words(name="bm25"),)).describe() == "1. words 'bm25': count=100"


def test_evidence_and_report_come_with_a_pipeline(opened):
    context = opened(*HYBRID.stages).retrieve("fires clay", k=2)
    assert "fires clay" in context.text
    assert list(context.report.times_ms) == ["encode", "fuse.late", "fuse.words", "fuse", "evidence", "trim"]
    assert all(time >= 0 for time in context.report.times_ms.values())
    assert list(opened(Late(), Words()).retrieve("clay").report.times_ms) == [
        "encode",
        "late",
        "words",
        "evidence",
        "trim",
    ]


def test_metadata_show_the_scores_where_there_is_more_than_maxsim(opened):
    (trimmed,) = opened(*HYBRID.stages).retrieve("fires clay", k=1).trimmed
    found = json.loads(json.dumps(trimmed.to_metadata()))
    assert found["fgr_scores"].keys() == {"late", "words", "fuse"}
    assert found["fgr_score"] == found["fgr_scores"]["fuse"]
    (trimmed,) = opened(Late()).retrieve("fires clay", k=1).trimmed
    assert "fgr_scores" not in trimmed.to_metadata()


def test_what_is_shown_names_the_score_of_every_stage(opened):
    (hit,) = opened(*HYBRID.stages).search("fires clay", k=1)
    late, words, fused = hit.scores["late"], hit.scores["words"], hit.scores["fuse"]
    assert fused in (1 / 61 + 1 / 61, 1 / 61 + 1 / 62)  # first by one, and first or second by the other
    shown = f"{words:.2f}" if words >= 1 else f"{words:.4f}"
    assert f"score {fused:.4f} (late {late:.2f}, words {shown}, fuse {fused:.4f})" in hit.to_html()
    (hit,) = opened().search("fires clay", k=1)
    assert f"score {late:.2f}</p>" in hit.to_html()


def test_the_adapters_use_the_pipeline_of_the_engine(opened):
    langchain = pytest.importorskip("langchain_fgr")
    llama_index = pytest.importorskip("llama_index.retrievers.fgr")
    engine = opened(Late(count=6), Words(count=6))
    wanted = {hit.passage.id: hit.scores for hit in engine.search("fires clay", k=3)}
    documents = langchain.FGRRetriever(engine=engine, k=3).invoke("fires clay")
    nodes = llama_index.FGRRetriever(engine, similarity_top_k=3).retrieve("fires clay")
    assert {one.id: one.metadata["fgr_scores"] for one in documents} == wanted
    assert {one.node.node_id: one.node.metadata["fgr_scores"] for one in nodes} == wanted
    assert [one.score for one in nodes] == [scores["words"] for scores in wanted.values()]


def test_a_stage_passes_on_count_candidates_or_as_many_as_are_wanted(opened):
    engine = opened(Late(count=2), Words(count=1))
    assert len(engine.search("clay kiln", k=1)) == 1
    assert len(engine.search("clay kiln", k=4)) == 4
    reranked = opened(Late(count=1), Words(count=1)).search("gas kiln", k=1)
    assert [hit.passage.id for hit in reranked] == ["kiln"]


def test_candidates_that_the_index_does_not_have_are_left_out(opened):
    engine = opened(Fixed(ranking=(("gone", 9.0), ("wheel", 8.0), ("empty", 7.0), ("kiln", 6.0))))
    hits = engine.search("clay", k=4)
    assert [(hit.passage.id, hit.score, hit.rank) for hit in hits] == [("wheel", 8.0, 1), ("kiln", 6.0, 2)]
    assert hits[0].scores.keys() == {"fixed", "late"}


@pytest.mark.parametrize("stages", [(Late(),), (Words(),), HYBRID.stages, (Late(), Words()), (Words(), Late())])
def test_every_stage_respects_filters(opened, stages):
    hits = opened(*stages).search("clay kiln", k=9, filter={"n": {"$in": [2, 4]}})
    assert {hit.passage.id for hit in hits} == {"glaze", "slip"}


def test_bad_requests_are_refused_before_any_stage_runs(opened):
    engine = opened(Fixed())
    with pytest.raises(InputError, match="unknown filter operator"):
        engine.search("clay", filter={"$what": 1})
    with pytest.raises(ConfigError, match="k=0"):
        engine.search("clay", k=0)
    with pytest.raises(InputError, match="not blank"):
        engine.search(" ")


def test_words_need_an_index_that_keeps_them(kept_in, tmp_path):
    with Engine.open(tmp_path / "index", encoder=ENCODER, pipeline=HYBRID) as engine:
        engine.add(PASSAGES)
        with pytest.raises(ConfigError, match=r"IndexConfig\(words='english'\)"):
            engine.search("clay")


async def test_the_async_twin_runs_the_pipeline(folder):
    async with await Engine.aopen(folder, encoder=ENCODER, pipeline=HYBRID) as engine:
        assert (await engine.asearch("fires clay", k=1))[0].scores.keys() == {"late", "words", "fuse"}


# --- late and words ---------------------------------------------------------------------------


def test_late_scores_what_came_before_exactly(asked):
    request = asked("clay in water")
    wanted = {one.passage.id: one.score for one in request.index.search([request.vectors], 9)[0]}
    given = [Candidate(id, 0.0) for id in ("bread", "gone", "slip", "empty", "kiln")]
    found = Late().run(request, given)
    assert {one.id: one.score for one in found} == {id: wanted[id] for id in ("bread", "slip", "kiln")}
    assert ids(found) == sorted(ids(found), key=lambda id: -wanted[id])


def test_a_question_without_tokens(asked):
    request = asked("?!")
    given = [Candidate("slip", 0.0), Candidate("kiln", 0.0)]
    assert Late().run(request, None) == []
    assert [(one.id, one.score) for one in Late().run(request, given)] == [("slip", 0.0), ("kiln", 0.0)]
    assert [(one.id, one.score) for one in Words().run(request, given)] == [("slip", 0.0), ("kiln", 0.0)]
    assert [match.score for match in request.index.score(request.vectors, ["slip"])] == [0.0]


def test_words_score_what_came_before_and_keep_the_rest_behind(asked):
    request = asked("water for the kiln")
    found = Words().run(request, [Candidate(id, 0.0) for id in ("bread", "slip", "wheel", "glaze")])
    first = dict(request.index.words("water for the kiln", 9))
    assert ids(found) == [*sorted(("slip", "glaze"), key=lambda id: -first[id]), "bread", "wheel"]
    assert [one.score for one in found[2:]] == [0.0, 0.0]
    assert Words().run(request, []) == []


# --- fuse -------------------------------------------------------------------------------------


def lists(*rankings):
    """Make a first stage of each ranking."""
    return tuple(Fixed(ranking=tuple(one), name=f"list {number}") for number, one in enumerate(rankings))


def test_reciprocal_ranks_by_hand(asked):
    first, second = lists((("a", 9.0), ("b", 5.0), ("c", 1.0)), (("c", 0.3), ("a", 0.2)))
    found = Fuse(stages=(first, second)).run(asked(), None)
    expected = {"a": 1 / 61 + 1 / 62, "c": 1 / 63 + 1 / 61, "b": 1 / 62}
    assert {one.id: one.score for one in found} == pytest.approx(expected)
    assert ids(found) == ["a", "c", "b"]
    assert ids(Fuse(stages=(first, second), weights=(0, 1)).run(asked(), None)) == ["c", "a", "b"]


def test_weighted_by_hand(asked):
    first, second = lists((("a", 9.0), ("b", 5.0), ("c", 1.0)), (("c", 0.3), ("a", 0.3)))
    found = Fuse(stages=(first, second), method="weighted", weights=(0.75, 0.25)).run(asked(), None)
    assert {one.id: one.score for one in found} == {"a": 1.0, "b": 0.375, "c": 0.25}


def test_hybrid_finds_what_either_finds(opened):
    found = opened(*HYBRID.stages).search("firing", k=6)
    by_words = [hit for hit in found if "words" in hit.scores]
    assert {hit.passage.id for hit in by_words} == {"kiln", "bread"}  # by the stem alone: no token is the same
    assert {hit.passage.id for hit in found} > {"kiln", "bread"}


_rankings = st.lists(
    st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(-3, 9).map(float)), unique_by=lambda one: one[0]),
    min_size=2,
    max_size=4,
)


@settings(max_examples=60)
@given(_rankings, st.sampled_from(["rrf", "weighted"]), st.randoms(use_true_random=False))
def test_the_order_of_fused_stages_counts_for_nothing(rankings, method, random):
    request = Request("q", ENCODER.encode_queries(["q"])[0], None, None, ENCODER, 9, TrimConfig(), Stopwatch())
    stages = lists(*(sorted(one, key=lambda pair: -pair[1]) for one in rankings))
    weights = [1.0 + number for number in range(len(stages))]
    shuffled = list(zip(stages, weights, strict=True))
    random.shuffle(shuffled)
    other_stages, other_weights = zip(*shuffled, strict=True)

    def fused(stages, weights):
        return [(one.id, one.score) for one in Fuse(stages=stages, method=method, weights=weights).run(request, None)]

    found = fused(stages, tuple(weights))
    assert found == fused(other_stages, other_weights)
    assert {id for id, _ in found} == {id for one in rankings for id, _ in one}
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    scaled = [(id, pytest.approx(2 * score)) for id, score in found]
    assert fused(tuple(stages), tuple(2 * one for one in weights)) == scaled


@given(st.lists(st.sampled_from("abcdefg"), unique=True))
def test_a_ranking_fused_with_itself_stays_as_it_is(names):
    request = Request("q", ENCODER.encode_queries(["q"])[0], None, None, ENCODER, 9, TrimConfig(), Stopwatch())
    ranked = [(name, -float(rank)) for rank, name in enumerate(names)]
    for method in ("rrf", "weighted"):
        assert ids(Fuse(stages=lists(ranked, ranked), method=method).run(request, None)) == names


# --- as JSON ----------------------------------------------------------------------------------

_settings = {"count": st.integers(1, 999), "name": st.sampled_from(["", "first", "second"])}
_leaves = st.one_of(st.builds(Late, **_settings), st.builds(Words, **_settings))
_fuses = st.builds(
    lambda stages, method, weigh: Fuse(stages=stages, method=method, weights=(0.5,) * len(stages) if weigh else ()),
    st.lists(_leaves, min_size=2, max_size=3, unique_by=lambda one: one.label).map(tuple),
    st.sampled_from(["rrf", "weighted"]),
    st.booleans(),
)
_pipelines = st.lists(st.one_of(_leaves, _fuses), min_size=1, max_size=3).map(lambda stages: Pipeline(tuple(stages)))


@given(_pipelines)
def test_a_pipeline_comes_back_from_json_as_it_was(pipeline):
    assert Pipeline.from_json(pipeline.to_json()) == pipeline
    assert Pipeline.from_dict(pipeline.to_dict()) == pipeline
    assert len(pipeline.describe().splitlines()) == pipeline.to_json().count('"kind"')


def test_the_json_form_is_fixed():
    assert HYBRID.to_dict() == {
        "stages": [
            {
                "kind": "fuse",
                "count": 100,
                "name": "",
                "stages": [
                    {"kind": "late", "count": 4, "name": ""},
                    {"kind": "words", "count": 4, "name": ""},
                ],
                "method": "rrf",
                "weights": [],
            }
        ]
    }
    assert Pipeline.from_json('{"stages": [{"kind": "late"}]}') == Pipeline((Late(),))
    assert HYBRID.describe().splitlines() == [
        "1. fuse: count=100, method=rrf, weights=[]",
        "   1. late: count=4",
        "   2. words: count=4",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be an object with the one key `stages`"),
        ('{"stages": [], "name": 1}', "must be an object with the one key `stages`"),
        ('{"stages": []}', "at least one stage"),
        ('{"stages": [3]}', "must be an object with a `kind`"),
        ('{"stages": [{"count": 3}]}', "must be an object with a `kind`"),
        ('{"stages": [{"kind": "lat"}]}', "no stage of kind 'lat': use one of .*'late'"),
        ('{"stages": [{"kind": "__init__"}]}', "no stage of kind"),
        ('{"stages": [{"kind": "late", "counts": 3}]}', r"unknown settings \['counts'\]"),
        ('{"stages": [{"kind": "late", "count": "3"}]}', "count='3': must be an integer of at least 1"),
        ('{"stages": [{"kind": "late", "count": true}]}', "count=True"),
        ('{"stages": [{"kind": "fuse"}]}', "stages"),
        ('{"stages": [{"kind": "fuse", "stages": [{"kind": "late"}]}]}', "at least two stages"),
        ('{"stages": [{"kind": "fuse", "stages": [{"kind": "late"}, 3]}]}', "at least two stages"),
        ('{"stages": [{"kind": "fuse", "stages": [{"kind": "late"}, {"kind": "late"}]}]}', "different names"),
        ('{"stages": [{"kind": "words", "name": "late"}]}', "name='late': must be a string that is not the kind"),
        ('{"stages": [{"kind": "words", "name": 3}]}', "name=3"),
    ],
)
def test_json_that_is_no_pipeline_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        Pipeline.from_json(text)


@pytest.mark.parametrize(
    "options",
    [{"method": "sum"}, {"weights": (1.0,)}, {"weights": (0, 0)}, {"weights": (1, -1)}, {"weights": (1, float("nan"))}],
)
def test_fuse_refuses_what_makes_no_sense(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        Fuse(stages=(Late(), Words()), **options)


@pytest.mark.parametrize("stages", [(), [Late()], (Late, Words), Late()])
def test_a_pipeline_is_a_tuple_of_stages(stages):
    with pytest.raises(ConfigError, match="stages"):
        Pipeline(stages)


# --- kinds ------------------------------------------------------------------------------------


def test_each_kind_is_the_name_of_its_module():
    assert {"late", "words", "fuse"} <= set(stage_kinds())
    for kind in stage_kinds():
        assert stage_class(kind).kind == kind
        assert stage_class(kind).__module__ == f"fgr_retriever.search.stages.{kind}"
    with pytest.raises(ConfigError, match="no stage of kind"):
        read_stage({"kind": "fixed"})


def test_a_stage_without_a_setting_that_it_needs_is_told_in_our_words():
    with pytest.raises(ConfigError, match=r"stage 'fuse' lacks \['stages'\]"):
        read_stage({"kind": "fuse"})


def test_no_stage_loads_an_extra_or_what_is_heavy_before_it_is_used():
    code = (
        "import sys; from fgr_retriever.search.stages import stage_class, stage_kinds; "
        "[stage_class(kind) for kind in stage_kinds()]; "
        "print(sorted({'faiss', 'cohere', 'Stemmer', 'sentence_transformers', 'transformers'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- command line -----------------------------------------------------------------------------


def test_the_command_line_keeps_words_and_runs_a_pipeline(kept_in, tmp_path, capsys):
    model, out = str(tiny_checkpoint(tmp_path / "model")), str(tmp_path / "index")
    texts, stages = tmp_path / "texts.jsonl", tmp_path / "hybrid.json"
    texts.write_text("\n".join(json.dumps({"id": one.id, "text": one.text}) for one in PASSAGES))
    stages.write_text(HYBRID.to_json())
    index = ["index", str(texts), "--out", out, "--model", model]
    assert main([*index, "--words", "english"]) == 0
    assert main([*index, "--words", "english"]) == main(index) == 0
    assert main([*index, "--words", "german"]) == 2
    assert "words='english'" in capsys.readouterr().err
    assert main(["info", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["words"] == "english"
    search = ["search", out, "firing", "-k", "9", "--model", model, "--json"]
    assert main([*search, "--pipeline", str(stages)]) == 0
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert {hit["id"] for hit in hits if "words" in hit["scores"]} == {"kiln", "bread"}
    assert [hit["score"] for hit in hits] == [hit["scores"]["fuse"] for hit in hits]
    stages.write_text('{"stages": [{"kind": "lat"}]}')
    assert main([*search, "--pipeline", str(stages)]) == 2
    assert "no stage of kind 'lat'" in capsys.readouterr().err
    assert main([*search, "--pipeline", str(tmp_path / "nowhere.json")]) == 3
