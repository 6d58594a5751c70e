"""Run files, judgements, comparisons, the curve of answers kept, tables and pictures."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.cli import main
from fgr_retriever.errors import ConfigError, InputError
from fgr_retriever.evaluation import (
    Run,
    SpanExample,
    System,
    answer_curve,
    bm25,
    compare,
    evaluate_judged,
    measure,
    read_qrels,
    read_run,
    read_topics,
    take_dataset,
    write_run,
)
from fgr_retriever.evaluation.comparison import difference
from fgr_retriever.evaluation.measures import query_measures
from fgr_retriever.evaluation.plots import draw_curve, draw_trade
from fgr_retriever.evaluation.tables import markdown_table, replace_between
from fgr_retriever.testing import WordEncoder, tiny_checkpoint

TEXTS = {
    "1": "Marie Curie found radium with Pierre.",
    "2": "Cats sleep most of the day.",
    "3": "A telescope gathers light from stars.",
}


def written(tmp_path, text, name="file.txt"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


class TestQrels:
    def test_trec_and_beir_say_the_same(self, tmp_path):
        trec = read_qrels(written(tmp_path, "a 0 1 2\na 0 2 0\n\nb 0 3 1\nc 0 1 -2\n"))
        beir = read_qrels(written(tmp_path, "query-id\tcorpus-id\tscore\na\t1\t2\na\t2\t0\nb\t3\t1\nc\t1\t-2\n"))
        assert trec == beir == {"a": {"1": 2, "2": 0}, "b": {"3": 1}}

    @pytest.mark.parametrize(
        ("line", "message"),
        [("b 0 3", "four columns"), ("b 0 3 much", "whole grade"), ("b\t3\t0.5", "whole grade"), ("a 0 1 1", "twice")],
    )
    def test_a_bad_line_is_named(self, tmp_path, line, message):
        with pytest.raises(InputError, match=f"file.txt:2.*{message}"):
            read_qrels(written(tmp_path, f"a 0 1 2\n{line}\n"))

    def test_topics(self, tmp_path):
        assert read_topics(written(tmp_path, "1\twho?\n2\ta\tb\n")) == {"1": "who?", "2": "a\tb"}
        for text in ("1 who?", "1\t ", "\twho?", "1\twho?\n1\twhat?"):
            with pytest.raises(InputError, match=r"file.txt:\d"):
                read_topics(written(tmp_path, text))


class TestRunFiles:
    def test_the_score_orders_and_the_rank_breaks_ties(self, tmp_path):
        text = "q Q0 a 3 1.5 mine\nq Q0 b 2 1.5 mine\nq Q0 c 1 0.5 mine\nr q0 a 1 -2e-3 mine\n"
        run = read_run(written(tmp_path, text))
        assert run == Run("mine", {"q": [("b", 1.5), ("a", 1.5), ("c", 0.5)], "r": [("a", -0.002)]})

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("q Q0 a 1 0.5", ":1: must be query id"),
            ("q 0 a 1 0.5 mine", ":1: must be query id"),
            ("q Q0 a one 0.5 mine", "whole number"),
            ("q Q0 a 1 half mine", "a number"),
            ("q Q0 a 1 nan mine", "finite"),
            ("q Q0 a 1 0.5 mine\nq Q0 a 2 0.4 mine", ":2: passage 'a' comes twice"),
            ("q Q0 a 1 0.5 mine\nq Q0 b 2 0.4 yours", "one system"),
            ("\n", "one system"),
        ],
    )
    def test_what_does_not_fit_is_named(self, tmp_path, text, message):
        with pytest.raises(InputError, match=message):
            read_run(written(tmp_path, text))

    @pytest.mark.parametrize(
        "run",
        [
            Run("two words", {"q": [("a", 1.0)]}),
            Run("", {"q": [("a", 1.0)]}),
            Run("mine", {"q": [("a b", 1.0)]}),
            Run("mine", {"q\n": [("a", 1.0)]}),
            Run("mine", {"q": [("a", float("nan"))]}),
        ],
    )
    def test_what_could_not_be_read_again_is_not_written(self, tmp_path, run):
        with pytest.raises(InputError):
            write_run(run, tmp_path / "run")
        assert not (tmp_path / "run").exists()

    @given(
        st.dictionaries(
            st.text("abcé0-9.", min_size=1),
            st.dictionaries(st.text("xyz日1", min_size=1), st.floats(-1e9, 1e9), min_size=1, max_size=5),
            min_size=1,
            max_size=4,
        )
    )
    def test_what_is_written_is_read_again(self, tmp_path_factory, found):
        rankings = {query: sorted(scores.items(), key=lambda pair: -pair[1]) for query, scores in found.items()}
        path = tmp_path_factory.mktemp("runs") / "run"
        write_run(Run("mine", rankings), path)
        assert read_run(path) == Run("mine", rankings)


class TestMeasures:
    def test_each_query_by_hand(self):
        # b at rank 2 of one relevant: 1/2; nDCG 1/log2(3) = 0.63093. Nothing found: 0. a at rank 1: 1.
        qrels = {"q": {"b": 1}, "lost": {"a": 1}, "r": {"a": 3, "z": 0}}
        found = query_measures(qrels, {"r": ["a"], "q": ["a", "b"], "foreign": ["a"]})
        assert found["mrr@10"].tolist() == [0.5, 0, 1]
        assert found["ndcg@10"].tolist() == pytest.approx([0.63093, 0, 1], abs=1e-5)

    def test_a_system_is_a_name_and_a_function(self):
        data = take_dataset(dataset())
        asked = []

        def search(query, k):
            asked.append((query, k))
            return [("1", 2.0), ("3", 1.0)][:k]

        found = measure(data, System("fixed", search))
        assert found.run.rankings == {"a": [("1", 2.0), ("3", 1.0)], "b": [("1", 2.0), ("3", 1.0)]}
        assert found.scores["mrr@10"] == pytest.approx((1 + 1 / 2) / 2)
        assert {k for _, k in asked} == {100, 10}  # a hundred for the measures, ten for the time

    def test_what_is_asked_is_what_is_timed(self):
        asked = []
        measure(take_dataset(dataset()), System("fixed", lambda query, k: [("1", 1.0)], asked.append))
        assert set(asked) == {"Curie radium", "telescope stars"}

    def test_bm25_finds_nothing_for_unknown_words(self):
        search = bm25(TEXTS).search
        assert [key for key, _ in search("radium", 5)] == ["1"]
        assert search("zyzzyva", 5) == []


def dataset(queries=None):
    """What `ir_datasets.load` gives: records with names, in three iterators."""
    queries = queries or [("a", "Curie radium"), ("b", "telescope stars"), ("c", "never judged"), ("d", "nothing")]
    judged = [("a", "1", 2), ("b", "3", 1), ("b", "2", 0), ("d", "2", 0)]
    return SimpleNamespace(
        docs_iter=lambda: (SimpleNamespace(doc_id=key, title="T", text=text) for key, text in TEXTS.items()),
        queries_iter=lambda: (SimpleNamespace(query_id=key, text=text) for key, text in queries),
        qrels_iter=lambda: (SimpleNamespace(query_id=q, doc_id=d, relevance=r) for q, d, r in judged),
    )


class TestDatasets:
    def test_only_judged_queries_are_taken(self):
        data = take_dataset(dataset())
        assert data.passages == TEXTS
        assert data.queries == {"a": "Curie radium", "b": "telescope stars"}
        assert data.qrels == {"a": {"1": 2}, "b": {"3": 1, "2": 0}}
        assert list(take_dataset(dataset(), limit_queries=1).queries) == ["a"]

    def test_a_record_knows_its_text(self):
        given = dataset()
        given.docs_iter = lambda: [SimpleNamespace(doc_id="1", default_text=lambda: "title and body", text="body")]
        assert take_dataset(given).passages == {"1": "title and body"}

    def test_what_has_no_text_is_refused(self):
        given = dataset()
        given.docs_iter = lambda: [SimpleNamespace(doc_id="1")]
        with pytest.raises(InputError, match="neither default_text"):
            take_dataset(given)
        with pytest.raises(InputError, match="no query"):
            take_dataset(dataset([("d", "nothing")]))

    def test_a_model_is_measured_on_it(self):
        report = evaluate_judged(WordEncoder(), take_dataset(dataset()))
        assert report.ours["mrr@10"] == report.bm25["mrr@10"] == 1
        assert report.bytes_per_token > 256  # float16 of 128 dimensions, and offsets


class TestComparison:
    def test_by_hand(self):
        # Differences of MRR: +1/2, 0, +1/2. Of the eight choices of signs, the mean is as high in 1/4 of all (the 0
        # counts twice), and as low in 1/4: p = 1/2.
        qrels = {"q": {"a": 1}, "r": {"a": 1}, "s": {"a": 1}}
        worse = Run("worse", {key: [("b", 2.0), ("a", 1.0)] for key in "qrs"})
        better = Run("better", {"q": [("a", 1.0)], "r": [("b", 2.0), ("a", 1.0)], "s": [("a", 1.0)]})
        found = compare(qrels, [worse, better], "mrr@10")
        first, second = found.rows
        assert first.difference is None
        assert (first.scores["mrr@10"], second.scores["mrr@10"]) == (0.5, pytest.approx(5 / 6))
        assert (second.difference.wins, second.difference.losses) == (2, 0)
        assert second.difference.mean == pytest.approx(1 / 3)
        assert second.difference.p == pytest.approx(0.5)

    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=6))
    def test_p_is_that_of_all_choices_of_signs(self, pairs):
        first, other = (np.array(column) / 4 for column in zip(*pairs, strict=True))
        gains = other - first
        means = [np.mean(gains * signs) for signs in itertools.product([-1, 1], repeat=len(gains))]
        tails = np.mean(np.array(means) >= gains.mean() - 1e-9), np.mean(np.array(means) <= gains.mean() + 1e-9)
        assert difference(first, other).p == pytest.approx(min(1, 2 * min(tails)))

    def test_many_queries_are_drawn_with_a_fixed_seed(self):
        generator = np.random.default_rng(1)
        first = generator.random(60)
        same, better = first + generator.normal(0, 0.1, 60), first + 0.05
        assert difference(first, same) == difference(first, same)
        assert difference(first, better).p < 0.001 < 0.05 < difference(first, same).p

    def test_what_cannot_be_compared_is_refused(self):
        qrels, run = {"q": {"a": 1}}, Run("mine", {"q": [("a", 1.0)]})
        with pytest.raises(ConfigError, match="measure='f1'"):
            compare(qrels, [run], "f1")
        with pytest.raises(InputError, match="different names"):
            compare(qrels, [run, run])
        with pytest.raises(InputError, match="none of the 1 judged"):
            compare(qrels, [Run("other", {"x": [("a", 1.0)]})])
        with pytest.raises(InputError, match="no query"):
            compare({}, [run])


class TestCurve:
    def test_by_hand(self):
        # "radium" alone has evidence: at a threshold of 0.5 one word of four is kept. A budget of all keeps all.
        text = "Curie found radium there"
        examples = [SpanExample("radium", text, (((12, 18),),), ((12, 18),)), SpanExample("cats", text, ((),))]
        curve = answer_curve(
            WordEncoder(), examples, lambda one: len(one.split()), thresholds=[0.5], budgets=[0.0, 1.0]
        )
        by_kind = {(one.kind, one.value): one for one in curve.points}
        assert (curve.n, curve.answerable) == (2, 1)
        assert list(by_kind) == [("own", None), ("threshold", 0.5), ("budget", 0.0), ("budget", 1.0)]
        assert by_kind["budget", 0.0].tokens_saved == 1
        assert by_kind["budget", 0.0].answer_kept == 0
        assert by_kind["threshold", 0.5].answer_kept == by_kind["budget", 1.0].answer_kept == 1
        assert 0 < by_kind["threshold", 0.5].tokens_saved < 1

    def test_nothing_to_keep_is_an_error(self):
        for examples in ([], [SpanExample("radium", "cats", ((),))]):
            with pytest.raises(InputError, match="nothing to keep"):
                answer_curve(WordEncoder(), examples, len)

    def test_pictures(self, tmp_path):
        curve = answer_curve(WordEncoder(), [SpanExample("a", "a b", (((0, 1),),))], len)
        draw_curve(curve, tmp_path / "curve.png")
        draw_trade({"one": (1.0, 0.5), "two": (20.0, 0.7)}, ("ms", "nDCG"), tmp_path / "trade.svg")
        assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (tmp_path / "trade.svg").read_text()


class TestTables:
    def test_a_bar_cannot_break_a_table(self):
        assert markdown_table(["a|b", "n"], [["x\ny", "1"]]) == "| a\\|b | n |\n| --- | ---: |\n| x y | 1 |"

    def test_only_what_is_between_the_markers_changes(self, tmp_path):
        page = written(tmp_path, "before <!-- t -->old<!-- /t --> after\n")
        replace_between(page, "t", "new")
        replace_between(page, "t", "newer")
        assert page.read_text() == "before <!-- t -->\nnewer\n<!-- /t --> after\n"
        with pytest.raises(InputError, match="once each"):
            replace_between(page, "other", "new")


class TestCommands:
    @pytest.fixture(scope="class")
    def model(self, tmp_path_factory):
        return str(tiny_checkpoint(tmp_path_factory.mktemp("model")))

    def test_a_run_is_written_and_compared(self, tmp_path, model, capsys):
        (tmp_path / "qrels").mkdir()
        qrels = written(tmp_path / "qrels", "q\t1\t1\nr\t3\t1\n", "test.tsv")
        written(tmp_path, '{"_id": "q", "text": "radium"}\n{"_id": "r", "text": "stars"}\n', "queries.jsonl")
        rows = [json.dumps({"_id": key, "text": text}) for key, text in TEXTS.items()]
        written(tmp_path, "\n".join(rows), "corpus.jsonl")
        ours, perfect = tmp_path / "ours.run", tmp_path / "perfect.run"
        write_run(Run("perfect", {"q": [("1", 1.0)], "r": [("3", 1.0)]}), perfect)

        assert main(["eval", "retrieval", str(tmp_path), "--model", model, "--run-out", str(ours), "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert main(["eval", "runs", str(qrels), str(ours), str(perfect), "--json"]) == 0
        compared = json.loads(capsys.readouterr().out)

        assert read_run(ours).rankings.keys() == {"q", "r"}
        assert compared["runs"][0]["scores"]["ndcg@10"] == pytest.approx(report["ours"]["ndcg@10"])
        assert compared["runs"][1]["scores"]["ndcg@10"] == 1
        assert compared["runs"][0]["difference"] is None
        assert main(["eval", "runs", str(qrels), str(ours), str(perfect), "--markdown"]) == 0
        assert "| perfect | 1.0000 |" in capsys.readouterr().out
        assert main(["eval", "runs", str(qrels), str(ours), str(perfect)]) == 0
        assert "losses" in capsys.readouterr().out
        assert main(["eval", "runs", str(qrels), str(tmp_path / "absent")]) == 3

    def test_the_curve_is_measured_and_drawn(self, tmp_path, model, capsys):
        example = {"query": "radium", "passage": TEXTS["1"], "spans": [[0, 11]], "answers": [[0, 11]]}
        path, picture = written(tmp_path, json.dumps(example)), tmp_path / "curve.png"
        arguments = ["eval", "curve", str(path), "--model", model, "--tokenizer", model]
        assert main([*arguments, "--plot", str(picture), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["n"], found["answerable"]) == (1, 1)
        assert {point["kind"] for point in found["points"]} == {"own", "threshold", "budget"}
        assert picture.exists()
        assert main(arguments) == 0
        assert "threshold 0.5" in capsys.readouterr().out
