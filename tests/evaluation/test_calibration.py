import json
import logging
import math
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgr_retriever import Encoder, Engine, Passage, TrimConfig, Trimmer
from fgr_retriever.cli import main
from fgr_retriever.config import Calibration
from fgr_retriever.errors import CheckpointError, ConfigError, IndexCorruptError, InputError
from fgr_retriever.evaluation import SpanExample, evaluate_spans, fit_calibration
from fgr_retriever.evaluation.calibration import (
    TEMPERATURES,
    THRESHOLDS,
    expected_calibration_error,
    fit_temperature,
    highest_threshold,
    keeps_answer,
    token_labels,
)
from fgr_retriever.evidence.spans import find_spans
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage.store import Store
from fgr_retriever.model.checkpoint import save_calibrated
from fgr_retriever.model.embedded import embedded_model
from fgr_retriever.model.evidence_head import EvidenceConfig, EvidenceHead
from fgr_retriever.model.heads import load_head
from fgr_retriever.testing import WordEncoder, tiny_checkpoint
from fgr_retriever.types import TokenEvidence

# A question, a passage, and what of it answers the question.
LABELLED = [
    ("Who repaired the lighthouse lamp?", "The storm broke the lamp. Ilse Brandt repaired the lighthouse lamp "
     "before dawn. Nobody thanked her.", "Ilse Brandt"),
    ("When did the ferry start running?", "The island has two villages. The ferry started running in 1931. "
     "Goats outnumber people there.", "1931"),
    ("What does the baker put into the dough?", "The shop opens at five. The baker puts rye and honey into the "
     "dough. His sister keeps the books.", "rye and honey"),
    ("How deep is the lake?", "Pines stand around the lake. The lake is forty metres deep. In winter it freezes.",
     "forty metres"),
    ("Why was the bridge closed?", "The bridge was closed because a pillar had cracked. Drivers took the long road. "
     "Cafes nearby lost their guests.", "a pillar had cracked"),
    ("Where do the storks nest?", "Storks return in March. They nest on the chimney of the old brewery. Children "
     "count them every year.", "the chimney of the old brewery"),
    ("Who wrote the opera?", "The theatre seats ninety. Its only opera was written by a dentist, Paul Grau. It was "
     "played twice.", "Paul Grau"),
    ("What colour was the first tram?", "The first tram was dark green. It carried twelve people. Horses pulled it "
     "up the hill.", "dark green"),
    ("How long does the cheese ripen?", "Milk comes from six farms. The cheese ripens for nine months in a cave. "
     "Tourists may taste it.", "nine months"),
    ("Which river floods the meadow?", "In April the Wiese floods the meadow. Herons come then. The farmer waits "
     "until May.", "the Wiese"),
    ("What did the divers find?", "Two divers searched the harbour. They found a bronze bell from a sunken ship. "
     "It weighs eighty kilos.", "a bronze bell"),
]  # fmt: skip
NOTHING = ("How tall is the giraffe?", "The archive was moved in autumn. Twenty boxes are still missing.", None)
PASSAGE = "Marie Curie found radium. Paris liked cats."


WORDS = ["radium", "paris", "cats", "night", "glow", "green", "river", "stone", "bread", "lamp"]


class LogisticEncoder(WordEncoder):
    """Evidence is sigmoid((8 cos - 4) / T): no probability is 0 or 1."""

    def evidence(self, query, vectors, lengths, codes=None):
        best = (vectors.float() @ query.T).amax(dim=1)
        return ((8 * best - 4) / self.calibration.temperature).sigmoid()


def span_of(text, part):
    start = text.index(part)
    return start, start + len(part)


def record(query, passage, answer):
    found = [] if answer is None else [span_of(passage, answer)]
    return {"query": query, "passage": passage, "spans": found, "answers": found}


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps(record(*one)) for one in [*LABELLED, NOTHING]), encoding="utf-8")
    return path


def example(query, passage, *gold, answers=()):
    return SpanExample(query, passage, tuple(tuple(ranges) for ranges in gold), tuple(answers))


class TestCalibration:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("threshold", 1.1),
            ("threshold", math.nan),
            ("threshold", True),
            ("temperature", 0),
            ("temperature", math.inf),
            ("temperature", "1"),
            ("cut", "best"),
            ("cut", None),
        ],
    )
    def test_what_does_not_fit_is_refused(self, field, value):
        with pytest.raises(ConfigError, match=field):
            Calibration(**{field: value})

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
    @pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
    def test_saving_a_head_on_a_full_disk_is_an_error_of_the_system(self, tmp_path, file):
        (tmp_path / "evidence").mkdir()
        (tmp_path / "evidence" / file).symlink_to("/dev/full")
        with pytest.raises(OSError, match="No space left"):
            EvidenceHead(EvidenceConfig(dim=4, width=2)).save(tmp_path)

    def test_a_head_without_the_key_still_loads_and_an_unknown_cut_does_not(self, tmp_path):
        EvidenceHead(EvidenceConfig(dim=4, width=2, threshold=0.3)).save(tmp_path)
        file = tmp_path / "evidence" / "config.json"
        settings = json.loads(file.read_text())
        assert settings.pop("cut") == "expected_f1"

        file.write_text(json.dumps(settings))
        assert load_head(file.parent).config.calibration == Calibration(threshold=0.3)
        file.write_text(json.dumps({**settings, "cut": "lowest"}))
        with pytest.raises(CheckpointError, match=r"cut='lowest'.*expected_f1"):
            load_head(file.parent)

    def test_a_calibrated_encoder_is_another_one_with_the_same_weights(self, tmp_path):
        encoder = Encoder.from_pretrained(tiny_checkpoint(tmp_path))
        before = encoder.calibration
        other = encoder.calibrated(Calibration(threshold=0.2, temperature=3.0, cut="threshold"))

        assert (encoder.calibration, other.calibration.temperature) == (before, 3.0)
        assert (other.fingerprint, other.head_fingerprint) == (encoder.fingerprint, encoder.head_fingerprint)
        (one,), (hot,) = (Trimmer(each).evidence("abc", ["abcd efg"]) for each in (encoder, other))
        logits = np.log(one.probabilities) - np.log1p(-one.probabilities)
        np.testing.assert_allclose(hot.probabilities, 1 / (1 + np.exp(-logits / 3)), atol=1e-5)

    @pytest.mark.parametrize("unit", ["token", "phrase", "sentence"])
    def test_a_fixed_threshold_of_the_model_trims_as_one_that_the_user_fixes(self, unit):
        text = "Curie, who loved Paris, found radium. Cats sleep. Radium glows green at night in the dark."
        fixed = WordEncoder().calibrated(Calibration(threshold=0.1, cut="threshold"))
        by_model = Trimmer(fixed, TrimConfig(unit=unit)).trim("radium Paris", [text])
        by_user = Trimmer(WordEncoder(), TrimConfig(unit=unit, threshold=0.1)).trim("radium Paris", [text])
        assert by_model == by_user

    def test_the_user_overrules_the_model(self):
        fixed = WordEncoder().calibrated(Calibration(threshold=1.0, cut="threshold"))
        (kept,) = Trimmer(fixed, TrimConfig(threshold=0.5, unit="token", on_empty="drop")).trim("radium", [PASSAGE])
        assert kept.text == "radium."

    def test_evaluation_cuts_as_the_model_does(self):
        everything = example("radium", PASSAGE, [(0, len(PASSAGE))])
        fixed = WordEncoder().calibrated(Calibration(threshold=0.0, cut="threshold"))
        assert evaluate_spans(fixed, [everything]).ours.f1 == 1
        assert evaluate_spans(WordEncoder().calibrated(Calibration(threshold=0.0)), [everything]).ours.f1 < 1


class TestTemperature:
    def test_that_of_over_confident_logits_is_recovered(self):
        draw = np.random.default_rng(0)
        honest = draw.normal(-1, 2, 40_000)
        labels = (draw.random(40_000) < 1 / (1 + np.exp(-honest))).astype(float)
        assert fit_temperature(2.5 * honest, labels) == pytest.approx(2.5, rel=0.05)
        assert fit_temperature(0.5 * honest, labels) == pytest.approx(0.5, rel=0.05)

    def test_by_hand(self):
        """One logit of 2 for labels of which 3 in 4 are true: sigmoid(2 / T) = 3/4, so T = 2 / log 3."""
        found = fit_temperature(np.full(4, 2.0), np.array([1.0, 1.0, 1.0, 0.0]))
        assert found == pytest.approx(2 / math.log(3), rel=1e-6)
        assert fit_temperature(np.array([2.0]), np.array([0.75])) == pytest.approx(found)

    @pytest.mark.parametrize(("label", "limit"), [(1.0, TEMPERATURES[0]), (0.0, TEMPERATURES[1])])
    def test_without_a_minimum_it_ends_at_a_limit_and_says_so(self, label, limit, caplog):
        with caplog.at_level(logging.WARNING):
            assert fit_temperature(np.array([3.0]), np.array([label])) == pytest.approx(limit)
        assert "best temperature is beyond" in caplog.text

    @given(
        st.lists(st.tuples(st.floats(-8, 8), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=20),
        st.floats(0.06, 19),
    )
    def test_no_other_temperature_is_likelier(self, tokens, other):
        logits, labels = np.array(tokens).T

        def loss(temperature):
            heated = logits / temperature
            return float(np.mean(np.logaddexp(0, heated) - labels * heated))

        assert loss(fit_temperature(logits, labels)) <= loss(other) + 1e-9

    def test_the_error_is_as_worked_out_by_hand(self):
        """Two tokens share a bin, 0.9 and 0.92 with one true label; 0.1 is alone, its label 0."""
        error = expected_calibration_error(np.array([0.9, 0.92, 0.1]), np.array([1.0, 0.0, 0.0]))
        assert error == pytest.approx((abs(0.91 - 0.5) * 2 + 0.1) / 3)
        assert expected_calibration_error(np.array([1.0, 0.0]), np.array([1.0, 0.0])) == 0

    def test_labels_are_the_share_of_the_annotators(self):
        told = example("q", "ab cd ef", [(0, 4)], [(0, 2)])
        evidence = TokenEvidence(np.array([[0, 2], [3, 5], [6, 8]], np.int32), np.zeros(3, np.float32))
        assert token_labels(told, evidence).tolist() == [1, 0.5, 0]


class TestKeepsAnswer:
    def test_one_answer_in_one_range_is_enough(self):
        either = example("q", PASSAGE, [], answers=[span_of(PASSAGE, "cats"), span_of(PASSAGE, "found radium")])
        assert keeps_answer(either, [span_of(PASSAGE, "found radium")]) is True
        assert keeps_answer(either, [span_of(PASSAGE, "found"), span_of(PASSAGE, "radium")]) is False

    def test_without_answers_all_words_of_one_annotator_are(self):
        told = example("q", PASSAGE, [span_of(PASSAGE, "Curie"), span_of(PASSAGE, "radium.")], [(0, len(PASSAGE))], [])
        assert keeps_answer(told, [span_of(PASSAGE, "Curie"), span_of(PASSAGE, "radium")]) is True
        assert keeps_answer(told, [span_of(PASSAGE, "Curie")]) is False
        assert keeps_answer(told, []) is False

    def test_where_nobody_marked_a_word_there_is_nothing_to_keep(self):
        assert keeps_answer(example("q", PASSAGE, [], [span_of(PASSAGE, ".")]), [(0, 5)]) is None


class TestThreshold:
    @given(st.data(), st.integers(1, 12), st.floats(0.01, 1))
    @settings(max_examples=60)
    def test_it_is_the_highest_that_brute_force_finds(self, data, count, keep):
        """Also where a lower threshold keeps less, as it now and then does."""
        flips = st.lists(st.sampled_from(THRESHOLDS), max_size=4)
        rows = []
        for _ in range(count):
            edges, first = data.draw(flips), data.draw(st.booleans())
            rows.append([first ^ (sum(edge <= threshold for edge in edges) % 2 == 1) for threshold in THRESHOLDS])
        table = dict(zip(THRESHOLDS, np.array(rows).T, strict=True))
        reached = [threshold for threshold, kept in table.items() if kept.sum() >= keep * count - 1e-9]

        def keeps(place, threshold):
            return bool(table[threshold][place])

        if reached:
            assert highest_threshold(keeps, count, keep) == max(reached)
        else:
            with pytest.raises(InputError, match=f"only {table[THRESHOLDS[0]].sum()} of {count} examples"):
                highest_threshold(keeps, count, keep)

    def test_few_examples_are_looked_at(self):
        asked = []

        def keeps(place, threshold):
            asked.append(place)
            return threshold <= place / 1000

        assert highest_threshold(keeps, 1000, 0.9) == max(one for one in THRESHOLDS if one <= 0.1)
        assert len(asked) < 60 * len(THRESHOLDS) * 2  # not 1000 times as many

    def test_with_real_spans_it_is_the_highest_too(self):
        """Every passage has one word of the question, and evidence for its answer that is strong, weak or none."""
        draw = np.random.default_rng(3)
        examples = []
        for _ in range(8):
            passage = ". ".join(" ".join(draw.choice(WORDS, 5)) for _ in range(3)) + "."
            answer = span_of(passage, str(draw.choice(passage.replace(".", "").split())))
            examples.append(example(f"{draw.choice(passage[:-1].split())} lamp", passage, [answer], answers=[answer]))
        encoder = LogisticEncoder().calibrated(fit_calibration(LogisticEncoder(), examples, 0.5).after.calibration)
        found = [Trimmer(encoder).evidence(one.query, [one.passage])[0] for one in examples]

        def rate(threshold):
            config = TrimConfig(threshold=threshold)
            kept = [find_spans(one.passage, told, config, threshold) for one, told in zip(examples, found, strict=True)]
            ranges = [[(span.start, span.end) for span in spans] for spans in kept]
            return np.mean([keeps_answer(one, ours) for one, ours in zip(examples, ranges, strict=True)])

        rates = {threshold: rate(threshold) for threshold in THRESHOLDS}
        for keep in (0.25, 0.5, 0.75, 1.0):
            report = fit_calibration(LogisticEncoder(), examples, keep)
            assert report.after.calibration.threshold == max(one for one, kept in rates.items() if kept >= keep)
            assert report.after.answer_kept == rates[report.after.calibration.threshold] >= keep


class TestFit:
    def test_what_it_reports_is_what_the_calibrated_model_gives(self):
        draw = np.random.default_rng(5)
        texts = ["Radium. " + ". ".join(" ".join(draw.choice(WORDS, 6)) for _ in range(2)) for _ in range(8)]
        examples = [example("radium glow", text, [span_of(text, "Radium")]) for text in texts]
        nothing = example("zebra", PASSAGE, [])
        report = fit_calibration(LogisticEncoder(), [*examples, nothing], 0.75)

        calibrated = LogisticEncoder().calibrated(report.after.calibration)
        measured = evaluate_spans(calibrated, [*examples, nothing])
        assert report.after.f1 == pytest.approx(measured.ours.f1)
        assert (report.n, report.answerable, report.keep) == (9, 8, 0.75)
        assert report.before.calibration == WordEncoder().calibration
        assert report.after.calibration.cut == "threshold"
        assert report.after.nll <= report.before.nll + 1e-9
        again = fit_calibration(calibrated, [*examples, nothing], 0.75)
        assert again.before.answer_kept == report.after.answer_kept >= 0.75
        assert again.after.calibration.temperature == report.after.calibration.temperature

    def test_scores_are_as_worked_out_by_hand(self):
        """Two sentences of 4 and 3 tokens; the default spans keep the first, that of the question's words."""
        told = example("Marie Curie found radium", PASSAGE, [span_of(PASSAGE, "radium")])
        before = fit_calibration(WordEncoder(), [told, example("zebra", PASSAGE, [])], 1.0).before
        assert before.answer_kept == before.abstained == 1
        assert before.tokens_saved == pytest.approx(10 / 14)
        assert before.f1 == pytest.approx((2 / 5 + 1) / 2)

    def test_without_anything_to_keep_it_is_an_error(self):
        with pytest.raises(InputError, match="none of the 1 examples has answers"):
            fit_calibration(WordEncoder(), [example("q", PASSAGE, [])])

    def test_an_answer_that_no_span_can_hold_is_named(self):
        broken = "radium\n\ncats"  # no span crosses a blank line
        lost = example("radium", broken, [], answers=[(0, len(broken))])
        kept = example("radium", PASSAGE, [], answers=[span_of(PASSAGE, "radium")])
        with pytest.raises(InputError, match=r"only 1 of 2 examples keep their answer \(0.500, not 0.6\)"):
            fit_calibration(WordEncoder(), [lost, kept], 0.6)
        assert fit_calibration(WordEncoder(), [lost, kept], 0.5).after.answer_kept == 0.5

    @pytest.mark.parametrize("keep", [0, 1.01, math.nan, True, "0.9"])
    def test_a_target_that_is_no_share_is_refused(self, keep):
        with pytest.raises(ConfigError, match="keep="):
            fit_calibration(WordEncoder(), [], keep)


class TestIndex:
    FIXED = Calibration(threshold=0.0, temperature=2.0, cut="threshold")

    @pytest.fixture
    def folder(self, tmp_path):
        with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
            engine.add([Passage("a", PASSAGE)])
        return tmp_path / "index"

    def calibrate(self, folder, calibration, encoder=None):
        index = Index.open(folder, encoder or WordEncoder(), create=False)
        index.calibrate(calibration)
        index.close()

    def spans(self, folder, encoder=None):
        with Engine.open(folder, encoder=encoder or WordEncoder()) as engine:
            assert engine.retrieve("radium", k=1).trimmed[0].spans == engine.search("radium", k=1)[0].spans
            return [(span.start, span.end) for span in engine.search("radium", k=1)[0].spans]

    def test_it_survives_reopening_and_rewriting_and_changes_what_a_search_keeps(self, folder):
        own = self.spans(folder)
        self.calibrate(folder, self.FIXED)
        assert own != self.spans(folder) == [(0, len(PASSAGE))]
        with Engine.open(folder, encoder=WordEncoder()) as engine:
            engine.add([Passage("b", "Cats sleep.")])
            engine.delete(["b"])
            engine.compact()
            engine.verify()
            assert engine.info().calibration == {"threshold": 0.0, "temperature": 2.0, "cut": "threshold"}
        assert self.spans(folder) == [(0, len(PASSAGE))]

        self.calibrate(folder, None)
        assert self.spans(folder) == own
        with Engine.open(folder, encoder=WordEncoder()) as engine:
            assert engine.info().calibration is None

    def test_the_encoder_of_the_caller_is_not_changed(self, folder):
        encoder = WordEncoder()
        self.calibrate(folder, self.FIXED)
        self.spans(folder, encoder)
        assert encoder.calibration == Calibration(threshold=0.5)

    def test_that_of_another_evidence_head_is_left_alone_and_a_warning_says_so(self, folder, caplog):
        class Other(WordEncoder):
            @property
            def head_fingerprint(self):
                return "another head"

        own = self.spans(folder)
        self.calibrate(folder, self.FIXED, Other())
        with caplog.at_level(logging.WARNING):
            assert self.spans(folder) == own
        assert "another evidence head" in caplog.text

    @pytest.mark.parametrize("damage", ["{", '{"stored": 1, "checksum": 2}', "flip", "cut", None])
    def test_damage_is_found(self, folder, damage):
        self.calibrate(folder, self.FIXED)
        with closing(sqlite3.connect(folder / "passages.sqlite")) as connection, connection:
            (value,) = connection.execute("SELECT value FROM state WHERE name = 'calibration'").fetchone()
            if damage == "flip":
                damage = value.replace("2.0", "3.0")
            elif damage == "cut":
                damage = value[:-1]
            elif damage is None:
                damage = 5
            connection.execute("UPDATE state SET value = ? WHERE name = 'calibration'", (damage,))
        with pytest.raises(IndexCorruptError, match="calibration"):
            Engine.open(folder, encoder=WordEncoder())

    def test_damage_after_opening_is_found_too(self, folder):
        self.calibrate(folder, self.FIXED)
        with closing(Store(folder)) as store:
            store.verify()
            with closing(sqlite3.connect(folder / "passages.sqlite")) as connection, connection:
                connection.execute("UPDATE state SET value = '{}' WHERE name = 'calibration'")
            with pytest.raises(IndexCorruptError, match="calibration"):
                store.verify()


class TestSaveCalibrated:
    FIXED = Calibration(threshold=0.25, temperature=1.5, cut="threshold")

    @pytest.mark.parametrize("head", [True, False])
    @pytest.mark.parametrize("in_place", [True, False])
    def test_the_folder_loads_with_the_new_calibration_and_the_same_vectors(self, tmp_path, head, in_place):
        source = tiny_checkpoint(tmp_path / "model", head=head)
        encoder = Encoder.from_pretrained(source)
        out = source if in_place else tmp_path / "new" / "copy"
        save_calibrated(source, encoder.calibrated(self.FIXED).head, out)

        again = Encoder.from_pretrained(out)
        assert again.calibration == self.FIXED
        assert (again.fingerprint, again.head_fingerprint) == (encoder.fingerprint, encoder.head_fingerprint)
        assert not [path for path in tmp_path.rglob(".calibrated-*")]
        if not in_place:
            assert Encoder.from_pretrained(source).calibration == encoder.calibration

    def test_an_empty_folder_is_filled_and_any_other_is_not(self, tmp_path):
        source = tiny_checkpoint(tmp_path / "model")
        head = Encoder.from_pretrained(source).calibrated(self.FIXED).head
        (tmp_path / "empty").mkdir()
        save_calibrated(source, head, tmp_path / "empty")
        assert Encoder.from_pretrained(tmp_path / "empty").calibration == self.FIXED
        with pytest.raises(ConfigError, match="exists"):
            save_calibrated(source, head, tmp_path / "empty")
        with pytest.raises(ConfigError, match="lies in"):
            save_calibrated(source, head, source / "copy")
        with pytest.raises(ConfigError, match="no folder on this machine"):
            save_calibrated(tmp_path / "org" / "model", head, tmp_path / "copy")
        with pytest.raises(ConfigError, match="never changed"):
            save_calibrated(embedded_model(), head, embedded_model())

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="may write everywhere")
    def test_a_folder_that_cannot_be_written_to_is_named(self, tmp_path):
        source = tiny_checkpoint(tmp_path / "model")
        head = Encoder.from_pretrained(source).head
        source.chmod(0o500)
        with pytest.raises(ConfigError, match="cannot be written to"):
            save_calibrated(source, head, source)
        source.chmod(0o700)


class TestCommand:
    def test_a_tiny_model_is_calibrated_in_place(self, tmp_path, data, capsys):
        model = str(tiny_checkpoint(tmp_path / "model"))
        assert main(["calibrate", str(data), "--keep", "0.5", "--model", model, "--out", model]) == 0
        out, err = capsys.readouterr()
        assert "12 examples, 11 with an answer to keep, target 0.5" in out
        headings = out.splitlines()[1].split()
        assert headings[0] == "threshold"
        assert len(headings) == len(out.splitlines()[2].split()) - 1  # none is cut, and the first column has none
        assert "…" not in out
        assert "before" in out
        assert "after" in out
        assert f"model written to {model}" in err
        assert Encoder.from_pretrained(model).calibration.cut == "threshold"

    def test_without_a_place_it_only_says_it(self, tmp_path, data, capsys):
        model = tiny_checkpoint(tmp_path / "model")
        before = Encoder.from_pretrained(model).calibration
        assert main(["calibrate", str(data), "--keep", "0.5", "--model", str(model)]) == 0
        assert "nothing was written" in capsys.readouterr().err
        assert Encoder.from_pretrained(model).calibration == before

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["absent.jsonl"], 3, "absent.jsonl"),
            (["DATA", "--keep", "1.5"], 2, "keep"),
            (["DATA", "--keep", "0"], 2, "keep=0"),
            (["DATA", "--index", "absent"], 3, "no index"),
            (["DATA", "--model", "nobody/there", "--out", "copy"], 2, "no folder on this machine"),
            (["DATA", "--out", "DATA"], 2, "exists"),
            (["DATA", "--out", "EMBEDDED"], 2, "embedded model"),
            (["BAD", "--model", "MODEL"], 1, "bad.jsonl:1"),
            (["NONE", "--model", "MODEL"], 1, "nothing to keep"),
        ],
    )
    def test_bad_input_is_told(self, tmp_path, data, capsys, arguments, code, message):
        (tmp_path / "bad.jsonl").write_text('{"query": "q"}')
        (tmp_path / "none.jsonl").write_text(json.dumps(record(*NOTHING)))
        model = tiny_checkpoint(tmp_path / "model") if "MODEL" in arguments else None
        names = {"DATA": data, "BAD": tmp_path / "bad.jsonl", "NONE": tmp_path / "none.jsonl", "MODEL": model}
        names |= {"EMBEDDED": embedded_model()}
        assert main(["calibrate", *(str(names.get(word, word)) for word in arguments)]) == code
        assert message in capsys.readouterr().err

    def test_the_index_of_another_model_is_refused_and_left_as_it_is(self, tmp_path, data, capsys):
        with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
            engine.add([Passage("a", PASSAGE)])
        model = str(tiny_checkpoint(tmp_path / "model"))
        arguments = ["calibrate", str(data), "--keep", "0.5", "--model", model, "--index", str(tmp_path / "index")]
        assert main(arguments) == 4
        assert "was built with a model with the fingerprint word-encoder-1" in capsys.readouterr().err
        with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
            assert engine.info().calibration is None

    @pytest.mark.golden
    def test_the_embedded_model_from_labels_to_searches(self, tmp_path, data, capsys):
        index, copy = tmp_path / "index", tmp_path / "copy"
        corpus = tmp_path / "corpus.jsonl"
        corpus.write_text("\n".join(json.dumps({"id": one[0], "text": one[1]}) for one in LABELLED), encoding="utf-8")
        assert main(["index", str(corpus), "--out", str(index)]) == 0
        before = json.loads((embedded_model() / "evidence" / "config.json").read_text())
        capsys.readouterr()

        places = ["--index", str(index), "--out", str(copy)]
        assert main(["calibrate", str(data), "--keep", "0.9", "--json", *places]) == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["n"], report["answerable"], report["keep"]) == (12, 11, 0.9)
        assert (report["index"], report["out"]) == (str(index), str(copy))
        assert report["before"]["cut"] == "expected_f1"
        assert report["after"]["answer_kept"] >= 0.9
        assert report["after"]["nll"] < report["before"]["nll"]
        assert 0 < report["after"]["tokens_saved"] < 1
        fitted = Calibration(**{name: report["after"][name] for name in ("threshold", "temperature", "cut")})

        # The embedded model is as it was; the copy and the index have the new calibration.
        assert json.loads((embedded_model() / "evidence" / "config.json").read_text()) == before
        encoder = Encoder.from_pretrained(copy)
        assert encoder.calibration == fitted
        query, passage, _ = LABELLED[4]
        by_copy = Trimmer(encoder).trim(query, [passage])[0].spans
        by_hand = Trimmer(
            Encoder.default().calibrated(replace(fitted, cut="expected_f1")), TrimConfig(threshold=fitted.threshold)
        )
        # The embedded model goes a shorter way through the same layers, which rounds otherwise in bfloat16.
        assert [(span.start, span.end, pytest.approx(span.score, abs=0.02)) for span in by_copy] == [
            (span.start, span.end, span.score) for span in by_hand.trim(query, [passage])[0].spans
        ]
        with Engine.open(index) as engine:
            assert engine.info().calibration["threshold"] == fitted.threshold
            (hit,) = engine.search(query, k=1)
            assert [(span.start, span.end) for span in hit.spans] == [(span.start, span.end) for span in by_copy]

        assert main(["eval", "spans", str(data), "--model", str(copy), "--json"]) == 0
        measured = json.loads(capsys.readouterr().out)
        assert measured["threshold"] == fitted.threshold
        assert measured["answer_kept"] == pytest.approx(report["after"]["answer_kept"])
        assert measured["f1"] == pytest.approx(report["after"]["f1"])
        shutil.rmtree(copy)
