import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.config import TrimConfig
from fgr_retriever.errors import InputError, MissingExtraError
from fgr_retriever.evaluation import SpanExample, evaluate_retrieval, evaluate_spans, read_examples
from fgr_retriever.evaluation.measures import quality as score_rankings
from fgr_retriever.testing import WordEncoder

WORDS = TrimConfig(unit="token", merge_gap=1)
PASSAGE = "Marie Curie found radium. Paris liked cats."


def span_of(text, part):
    start = text.index(part)
    return start, start + len(part)


def evaluate(*examples):
    return evaluate_spans(WordEncoder(), examples, WORDS)


class TestSpans:
    def test_scores_and_floors_are_as_worked_out_by_hand(self):
        gold = span_of(PASSAGE, "Curie found radium")
        report = evaluate(SpanExample("radium found", PASSAGE, ((gold,),), (span_of(PASSAGE, "radium"),)))

        assert report.to_json() == {
            "n": 1,
            "f1": pytest.approx(4 / 5),
            "precision": 1.0,
            "recall": pytest.approx(2 / 3),
            "kept": pytest.approx(2 / 7),
            "answer_kept": 1.0,
            "threshold": 0.5,
            "floors": {
                "keep_all": {
                    "f1": pytest.approx(3 / 5),
                    "precision": pytest.approx(3 / 7),
                    "recall": 1.0,
                    "kept": 1.0,
                    "answer_kept": 1.0,
                },
                "best_sentence": {
                    "f1": pytest.approx(6 / 7),
                    "precision": pytest.approx(3 / 4),
                    "recall": 1.0,
                    "kept": pytest.approx(4 / 7),
                    "answer_kept": 1.0,
                },
            },
        }

    def test_means_weigh_every_example_the_same(self):
        right = SpanExample("radium", PASSAGE, ((span_of(PASSAGE, "radium"),),))
        wrong = SpanExample("radium", PASSAGE, ((span_of(PASSAGE, "cats"),),))

        report = evaluate(right, wrong, wrong, wrong)

        assert (report.n, report.ours.f1, report.ours.precision, report.ours.recall) == (4, 0.25, 0.25, 0.25)

    def test_finding_nothing_is_right_only_where_nothing_is_marked(self):
        nothing_marked = SpanExample("zebras", PASSAGE, ((),))
        all_marked = SpanExample("zebras", PASSAGE, (((0, len(PASSAGE)),),))

        right, wrong = evaluate(nothing_marked), evaluate(all_marked)

        assert (right.ours.f1, right.ours.precision, right.ours.recall, right.ours.kept) == (1, 1, 1, 0)
        assert (wrong.ours.f1, wrong.ours.precision, wrong.ours.recall, wrong.ours.kept) == (0, 0, 0, 0)
        assert (right.keep_all.f1, wrong.keep_all.f1) == (0, 1)

    def test_a_span_of_punctuation_marks_no_word(self):
        report = evaluate(SpanExample("zebras", PASSAGE, ((span_of(PASSAGE, "."),),)))
        assert report.ours.f1 == 1

    def test_the_annotator_that_agrees_best_counts_for_each_system(self):
        ranges = (span_of(PASSAGE, "cats"),), (span_of(PASSAGE, "radium"),), ((0, len(PASSAGE)),)
        report = evaluate(SpanExample("radium", PASSAGE, ranges))
        assert (report.ours.f1, report.keep_all.f1) == (1, 1)

    def test_an_answer_is_kept_only_when_one_span_holds_all_of_it(self):
        split = SpanExample("Curie radium", PASSAGE, ((),), (span_of(PASSAGE, "Curie found radium"),))
        either = SpanExample("radium", PASSAGE, ((),), (span_of(PASSAGE, "cats"), span_of(PASSAGE, "radium")))
        unlabelled = SpanExample("radium", PASSAGE, ((),))

        assert evaluate(split).ours.answer_kept == 0
        assert evaluate(either).ours.answer_kept == 1
        assert evaluate(unlabelled).ours.answer_kept is None
        assert evaluate(split, either, unlabelled).ours.answer_kept == 0.5

    def test_evidence_is_found_in_every_block_of_a_long_passage(self):
        passage = "filler. " * 12_000 + "Radium glows."
        report = evaluate(SpanExample("radium", passage, ((span_of(passage, "Radium"),),)))
        assert report.ours.f1 == 1
        assert report.best_sentence.f1 == pytest.approx(2 / 3)

    def test_many_examples_keep_their_own_evidence(self):
        passages = [f"One name is name{i}. Nothing more." for i in range(520)]
        examples = [SpanExample(f"name{i}", text, ((span_of(text, f"name{i}"),),)) for i, text in enumerate(passages)]
        assert evaluate(*examples).ours.f1 == 1

    @pytest.mark.parametrize(
        ("query", "passage"), [("radium", ""), ("radium", " \n"), ("?!", PASSAGE), ("radium", "…")]
    )
    def test_texts_without_words_are_no_evidence(self, query, passage):
        report = evaluate(SpanExample(query, passage, ((),)))
        assert (report.ours.f1, report.ours.kept, report.best_sentence.kept) == (1, 0, 0)

    def test_the_threshold_can_be_set(self):
        example = SpanExample("radium", PASSAGE, (((0, len(PASSAGE)),),))
        report = evaluate_spans(WordEncoder(), [example], TrimConfig(threshold=0.0))
        assert (report.threshold, report.ours.f1) == (0, 1)

    def test_no_example_is_an_error(self):
        with pytest.raises(InputError, match="no examples"):
            evaluate()

    @given(st.lists(st.sampled_from(["radium", "cats", "Paris", "a", ".", "…"]), max_size=12), st.data())
    def test_laws(self, words, data):
        passage = " ".join(words)
        count = len(re.findall(r"\w+", passage))
        bounds = data.draw(st.tuples(st.integers(0, len(passage)), st.integers(0, len(passage))).map(sorted))
        gold = (tuple(bounds),) if bounds[0] < bounds[1] else ()
        report = evaluate(SpanExample("radium", passage, (gold,)))

        for scores in (report.ours, report.keep_all, report.best_sentence):
            assert all(0 <= value <= 1 for value in (scores.f1, scores.precision, scores.recall, scores.kept))
            harmonic = 2 * scores.precision * scores.recall / max(scores.precision + scores.recall, 1e-9)
            assert scores.f1 == pytest.approx(harmonic)
        assert report.ours.kept <= report.keep_all.kept == (1 if count else 0)


class TestReadExamples:
    def write(self, tmp_path, *lines):
        path = tmp_path / "examples.jsonl"
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    def test_reads_spans_annotations_and_answers(self, tmp_path):
        path = self.write(
            tmp_path,
            json.dumps({"id": "a", "query": "q", "passage": "\ud83d", "spans": [[0, 1]], "answers": [[0, 1]], "x": 1}),
            "",
            json.dumps({"query": "q", "passage": "text", "annotations": {"ann": [[0, 4]], "bob": []}}),
        )
        first, second = read_examples(path)
        assert first == SpanExample("q", "\ud83d", (((0, 1),),), ((0, 1),))
        assert second == SpanExample("q", "text", (((0, 4),), ()))

    @pytest.mark.parametrize(
        ("record", "message"),
        [
            ("{", "not valid JSON"),
            ("[]", "must be a JSON object"),
            ('{"query": "q", "passage": "text", "spans": [], "x": NaN}', "NaN"),
            ('{"query": "q", "spans": []}', "'query' and 'passage'"),
            ('{"query": "q", "passage": "text"}', "'spans' must be a list"),
            ('{"query": "q", "passage": "text", "annotations": {}}', "at least one annotator"),
            ('{"query": "q", "passage": "text", "spans": [[1, 1]]}', r"\[1, 1\]"),
            ('{"query": "q", "passage": "text", "spans": [[0, 5]]}', r"\[0, 5\].*4"),
            ('{"query": "q", "passage": "text", "spans": [[-1, 2]]}', r"\[-1, 2\]"),
            ('{"query": "q", "passage": "text", "spans": [[0.0, 2]]}', r"\[0.0, 2\]"),
            ('{"query": "q", "passage": "text", "spans": [], "answers": [[true, 2]]}', "'answers'"),
        ],
    )
    def test_a_bad_line_is_named(self, tmp_path, record, message):
        path = self.write(tmp_path, '{"query": "q", "passage": "text", "spans": []}', record)
        with pytest.raises(InputError, match=f"examples.jsonl:2.*{message}"):
            list(read_examples(path))

    def test_another_encoding_is_named(self, tmp_path):
        path = tmp_path / "latin.jsonl"
        path.write_bytes('{"query": "é"}'.encode("latin-1"))
        with pytest.raises(InputError, match=r"latin.jsonl is not UTF-8"):
            list(read_examples(path))


class TestQuality:
    def test_ndcg_is_graded_with_linear_gain(self):
        quality = score_rankings({"q": {"a": 2, "b": 1}}, {"q": ["b", "x", "a"]})
        assert quality["ndcg@10"] == pytest.approx((1 + 2 / 2) / (2 + 1 / 1.5849625), rel=1e-6)
        assert quality["mrr@10"] == 1

    def test_cut_offs(self):
        ranking = [f"x{i}" for i in range(10)] + ["a"] + [f"y{i}" for i in range(60)] + ["b"]
        quality = score_rankings({"q": {"a": 1, "b": 3}}, {"q": ranking})
        assert quality == {"ndcg@10": 0, "mrr@10": 0, "recall@10": 0, "recall@50": 0.5, "recall@100": 1}

    def test_a_grade_of_zero_is_not_relevant_and_an_empty_ranking_scores_zero(self):
        quality = score_rankings({"q": {"a": 0, "b": 1}, "r": {"c": 1}}, {"q": ["a", "b"], "r": []})
        assert (quality["mrr@10"], quality["recall@10"]) == (0.25, 0.5)


class TestRetrieval:
    @pytest.fixture
    def beir(self, tmp_path):
        corpus = [
            {"_id": "1", "title": "Radium", "text": "Marie Curie found it with Pierre."},
            {"_id": "2", "title": "", "text": "Cats sleep most of the day."},
            {"_id": "3", "text": "A telescope gathers light from stars."},
            {"_id": "4", "title": None, "text": "Bread rises because yeast makes gas."},
        ]
        queries = [
            {"_id": "a", "text": "Curie radium"},
            {"_id": "b", "text": "telescope stars"},
            {"_id": "c", "text": "never judged"},
            {"_id": "d", "text": "judged, nothing relevant"},
            {"_id": "e", "text": "zyzzyva"},
        ]
        qrels = ["query-id\tcorpus-id\tscore", "a\t1\t2", "b\t3\t1", "b\t2\t0", "d\t2\t0", "e\t4\t1"]
        (tmp_path / "qrels").mkdir()
        for name, rows in (("corpus", corpus), ("queries", queries)):
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        (tmp_path / "qrels" / "test.tsv").write_text("\n".join(qrels), encoding="utf-8")
        return tmp_path

    def test_measures_both_systems(self, beir):
        report = evaluate_retrieval(WordEncoder(), beir).to_json()

        assert (report["n_queries"], report["n_passages"]) == (3, 4)
        assert report["ours"].keys() == report["bm25"].keys()
        assert list(report["ours"]) == [
            "ndcg@10", "mrr@10", "recall@10", "recall@50", "recall@100", "p50_ms", "p95_ms",
        ]  # fmt: skip
        for system in ("ours", "bm25"):
            assert 0 < report[system]["p50_ms"] <= report[system]["p95_ms"]
        # Ours ranks every passage, also for the word that none has; BM25 finds nothing then.
        assert report["ours"]["recall@100"] == 1
        assert report["bm25"]["recall@100"] == report["bm25"]["mrr@10"] == pytest.approx(2 / 3)

    def test_queries_can_be_limited(self, beir):
        report = evaluate_retrieval(WordEncoder(), beir, limit_queries=2)
        assert report.n_queries == 2
        assert report.ours["mrr@10"] == report.bm25["mrr@10"] == 1

    def test_a_missing_split_or_folder_is_not_found(self, beir):
        with pytest.raises(FileNotFoundError, match=r"dev\.tsv"):
            evaluate_retrieval(WordEncoder(), beir, split="dev")
        with pytest.raises(FileNotFoundError, match="no such folder"):
            evaluate_retrieval(WordEncoder(), beir / "absent")

    @pytest.mark.parametrize("line", ["a\t1", "a\t1\tmuch", "a 1 1"])
    def test_a_bad_judgement_is_named(self, beir, line):
        (beir / "qrels" / "test.tsv").write_text(f"a\t1\t1\n{line}\n", encoding="utf-8")
        with pytest.raises(InputError, match=r"test\.tsv:2"):
            evaluate_retrieval(WordEncoder(), beir)

    def test_nothing_relevant_is_an_error(self, beir):
        (beir / "qrels" / "test.tsv").write_text("d\t2\t0\n", encoding="utf-8")
        with pytest.raises(InputError, match="no query"):
            evaluate_retrieval(WordEncoder(), beir)

    def test_a_missing_library_names_the_extra(self, beir, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "bm25s", None)  # as if it were not installed
        with pytest.raises(MissingExtraError, match=r"fgr-retriever\[eval\]"):
            evaluate_retrieval(WordEncoder(), beir)
