"""Training of retrieval: tuples, mined negatives, losses, noise."""

import json
import math
import tracemalloc
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import CrossEncoder
from sentence_transformers.multi_vector_encoder.losses import (
    MultiVectorDistillKLDivLoss,
    MultiVectorMarginMSELoss,
    MultiVectorMultipleNegativesRankingLoss,
)
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from fgr_retriever.cli import main
from fgr_retriever.errors import ConfigError, InputError, ModelMismatchError
from fgr_retriever.index.index import Index
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.model.evidence_head import EvidenceConfig, EvidenceHead
from fgr_retriever.model.windows import Windows
from fgr_retriever.testing import tiny_bert
from fgr_retriever.training.config import RETRIEVAL_LOSSES, TrainingConfig
from fgr_retriever.training.data import Labelled, TokenLabels, read_spans
from fgr_retriever.training.head import HeadModel
from fgr_retriever.training.joint import JointModel, encode
from fgr_retriever.training.losses import (
    contrastive_loss,
    evidence_loss,
    in_batch_maxsim,
    margin_mse_loss,
    own_scores,
    pairwise_loss,
    ranking_loss,
)
from fgr_retriever.training.mining import Miner, MiningConfig, hard_negatives
from fgr_retriever.training.mixture import prepare
from fgr_retriever.training.noise import COSINES, CodecNoise
from fgr_retriever.training.questions import Question, Source, read_source
from fgr_retriever.training.run import train
from fgr_retriever.training.scoring import CrossEncoderTeacher, MaxSimTeacher, Searched
from fgr_retriever.training.start import start_model
from fgr_retriever.training.tuples import PassageTuple, Placed, TupleCollate, TupleFile, TupleMixture, parse_tuple

COLOURS = ["red", "blue", "green", "black", "white", "brown", "pink", "grey"]
THINGS = ["cup", "hat", "car", "box", "pen", "bag", "bed", "key"]


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny_bert(folder)
    return TrainingConfig(
        base=str(folder), spans=("spans.jsonl",), held_out=0.2, dim=16, head_width=8, reader_layers=0, query_maxlen=32,
        doc_maxlen=48, epochs=1, head_epochs=0.2, batch_size=8, learning_rate=1e-3,
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Questions about things: spans, and tuples whose negatives name another thing."""
    folder = tmp_path_factory.mktemp("data")
    spans, tuples = [], []
    for i in range(64):
        thing, answer = THINGS[i % 8], f"The {THINGS[i % 8]} is {COLOURS[(i * 5) % 8]}."
        query, passage = f"which colour has the {thing}", f"{answer} It rains {i}."
        others = [f"The {THINGS[(i + step) % 8]} is {COLOURS[(i * 5) % 8]}. It snows {i}." for step in (1, 2, 3, 4)]
        spans.append({"query": query, "passage": passage, "spans": [[0, len(answer)]]})
        tuples.append({"query": query, "passages": [f"Look: {passage}", *others], "scores": [5, 2, 1, 0, 0]})
    write(folder / "spans.jsonl", spans)
    write(folder / "tuples.jsonl", tuples)
    return folder


# Losses


def test_kl_of_the_published_example():
    # Teacher (5, 2, 1): softmax of (0, -3, -4) = (1, 0.049787, 0.018316) / 1.068103 = (0.936239, 0.046613, 0.017148).
    # Student (3, 2.5, 2): (1, 0.606531, 0.367879) / 1.974410; log p - log q = (0.614385, -1.885615, -2.385615).
    # 0.936239 * 0.614385 - 0.046613 * 1.885615 - 0.017148 * 2.385615 = 0.575211 - 0.087893 - 0.040908 = 0.446410.
    # It is quoted as 0.447: the exact value rounds to 0.446.
    student, teacher = torch.tensor([[3.0, 2.5, 2.0]]), torch.tensor([[5.0, 2.0, 1.0]])
    assert ranking_loss(student, teacher).item() == pytest.approx(0.44641, abs=1e-5)
    assert ranking_loss(student, teacher - 7).item() == pytest.approx(0.44641, abs=1e-5)


def test_pairwise_of_a_worked_example():
    # Pairs (2, 2) and (2, 1): log(1 + e^0) = 0.693147, log(1 + e^-1) = 0.313262; their mean is 0.503204.
    assert pairwise_loss(torch.tensor([[2.0, 2.0, 1.0]])).item() == pytest.approx(0.503204, abs=1e-6)


def test_contrastive_of_a_worked_example():
    # Query 0: its positive among (1, 0, 0, 0): log((e + 3) / e) = 0.743668. Query 1, all 0: log 4 = 1.386294.
    scores = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    alone = torch.eye(4, dtype=torch.bool)
    assert contrastive_loss(scores, alone).item() == pytest.approx((0.743668 + 1.386294) / 2, abs=1e-6)
    # The positive of query 1 is also a negative of query 0: it leaves query 1 with log 3 = 1.098612.
    same = alone.clone()
    same[1, 2] = same[2, 1] = True
    assert contrastive_loss(scores, same).item() == pytest.approx((0.743668 + 1.098612) / 2, abs=1e-6)
    assert torch.equal(same, same.T)  # the argument is not changed


def test_margin_mse_of_a_worked_example():
    # Margins 1 and 2, the teacher's 3 and 1: (4 + 1) / 2.
    assert margin_mse_loss(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([[9.0, 6.0, 8.0]])).item() == 2.5


def test_own_scores_are_the_blocks_on_the_diagonal():
    assert own_scores(torch.arange(8.0).reshape(2, 4)).tolist() == [[0, 1], [6, 7]]


@pytest.mark.parametrize("loss", [pairwise_loss, lambda scores: contrastive_loss(scores, torch.eye(6).bool())])
def test_learning_raises_the_positive_and_lowers_the_negatives(loss):
    scores = torch.zeros(2, 6).requires_grad_() if loss is not pairwise_loss else torch.zeros(2, 3).requires_grad_()
    loss(scores).backward()
    positives = [(0, 0), (1, 3)] if scores.shape[1] == 6 else [(0, 0), (1, 0)]
    for row, column in positives:
        assert scores.grad[row, column] < 0
        others = torch.arange(scores.shape[1]) != column
        assert (scores.grad[row, others] > 0).all()


@pytest.mark.parametrize("loss", [ranking_loss, margin_mse_loss])
def test_distillation_moves_towards_the_teacher(loss):
    teacher = torch.tensor([[2.0, 3.0, 0.0], [1.0, 0.0, 0.5]])
    scores = torch.zeros(2, 3).requires_grad_()
    for _ in range(300):
        loss(scores, teacher).backward()
        with torch.no_grad():
            scores -= 0.5 * scores.grad
            scores.grad = None
    torch.testing.assert_close(scores - scores[:, :1], teacher - teacher[:, :1], atol=0.05, rtol=0)
    assert loss(teacher, teacher).item() == pytest.approx(0, abs=1e-6)


def test_a_heavy_positive_weight_asks_for_more_evidence():
    logits, mask = torch.zeros(1, 2).requires_grad_(), torch.ones(1, 2, dtype=torch.bool)
    labels = torch.tensor([[1.0, 0.0]])
    # (3 log 2 + log 2) / 2
    loss = evidence_loss(logits, labels, mask, positive_weight=3.0)
    assert loss.item() == pytest.approx(2 * math.log(2))
    loss.backward()
    assert logits.grad.tolist() == [[pytest.approx(-0.75), pytest.approx(0.25)]]


@pytest.fixture(scope="module")
def joint(config):
    encoder = start_model(config, ["the cup is red", "the hat is blue"])
    return JointModel(encoder, EvidenceHead(EvidenceConfig(dim=16, width=8)), config)


def batch_of(model, tuples):
    """A batch of tuples as the collator makes it."""
    windows = Windows(model.encoder.tokenizer, "", 48)
    return TupleCollate(None, windows, windows, len(tuples), len(tuples[0].passages))._batch(tuples)


def test_the_losses_are_those_of_sentence_transformers(joint):
    tuples = [
        PassageTuple("which cup", ("a red cup", "a hat", "no car at all"), (3.0, 1.0, 0.5)),
        PassageTuple("hat?", ("the hat is blue", "a box", "some pen and a key"), (2.0, 0.0, 1.0)),
    ]
    batch = batch_of(joint, tuples)
    model = joint.encoder
    found = in_batch_maxsim(
        *encode(model, batch["query_ids"], batch["query_mask"], "query"),
        *encode(model, batch["passage_ids"], batch["passage_mask"], "document"),
    )
    columns = [
        {"input_ids": batch["query_ids"], "attention_mask": batch["query_mask"], "modality": "text", "task": "query"},
        *(
            {"input_ids": ids, "attention_mask": mask, "modality": "text", "task": "document"}
            for ids, mask in zip(
                batch["passage_ids"].unflatten(0, (2, 3)).unbind(1),
                batch["passage_mask"].unflatten(0, (2, 3)).unbind(1),
                strict=True,
            )
        ),
    ]
    scores = batch["scores"]
    theirs = MultiVectorMultipleNegativesRankingLoss(model)(columns)
    torch.testing.assert_close(contrastive_loss(found, torch.eye(6).bool()), theirs)
    torch.testing.assert_close(
        ranking_loss(own_scores(found), scores), MultiVectorDistillKLDivLoss(model)(columns, scores)
    )
    torch.testing.assert_close(
        margin_mse_loss(own_scores(found), scores), MultiVectorMarginMSELoss(model)(columns, scores)
    )


@pytest.mark.parametrize("kind", RETRIEVAL_LOSSES)
def test_each_loss_trains_the_encoder_alone(joint, config, kind):
    joint.recipe = replace(config, retrieval_loss=kind)
    joint.zero_grad()
    tuples = [PassageTuple("which cup", ("a red cup", "a hat")), PassageTuple("hat?", ("a hat", "a box"))]
    joint.retrieval(**batch_of(joint, [replace(one, scores=(9.0, 0.0)) for one in tuples])).backward()
    assert all(parameter.grad is None for parameter in joint.head.parameters())
    assert any(parameter.grad.abs().max() > 0 for parameter in joint.encoder.parameters() if parameter.grad is not None)


def test_the_untrained_model_teaches_where_the_file_does_not(joint, config):
    joint.recipe = replace(config, retrieval_loss="kl")
    with_scores = PassageTuple("which cup", ("a red cup", "a hat"), (9.0, 0.0))
    without = replace(with_scores, scores=None)
    taught, untaught = (joint.retrieval(**batch_of(joint, [one])).item() for one in (with_scores, without))
    both = joint.retrieval(**batch_of(joint, [with_scores, without])).item()
    assert math.isfinite(untaught)
    assert taught != pytest.approx(untaught, abs=1e-3)
    assert both == pytest.approx((taught + untaught) / 2, abs=1e-5)


# Tuples


def test_the_two_forms_of_a_tuple():
    given = parse_tuple({"query": "q", "passages": ["a", "b", "c"], "scores": [1, 3, 2], "id": 7}, "f:1")
    assert given == PassageTuple("q", ("b", "a", "c"), (3.0, 1.0, 2.0))
    assert parse_tuple({"query": "q", "passages": ["a", "b"]}, "f:1") == PassageTuple("q", ("a", "b"))
    triple = parse_tuple({"query": "q", "positive": "a", "negatives": ["b", "c"]}, "f:1")
    assert triple == PassageTuple("q", ("a", "b", "c"))
    assert parse_tuple({"query": "q", "positive": "a", "negatives": []}, "f:1") is None
    assert parse_tuple({"query": "q", "passages": ["a", "b"], "scores": [2, 2]}, "f:1").passages == ("a", "b")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"passages": ["a", "b"]}, "query"),
        ({"query": " ", "passages": ["a", "b"]}, "query"),
        ({"query": "q"}, "passages"),
        ({"query": "q", "passages": "a"}, "passages"),
        ({"query": "q", "positive": "a", "negatives": "b"}, "negatives"),
        ({"query": "q", "negatives": ["b"]}, "passages"),
        ({"query": "q", "passages": ["a", ""]}, "blank"),
        ({"query": "q", "passages": ["a", "b"], "scores": [1]}, "2 numbers"),
        ({"query": "q", "passages": ["a", "b"], "scores": [1, True]}, "2 numbers"),
        ({"query": "q", "passages": ["a", "b"], "scores": [1, math.inf]}, "JSON value"),
        ([], "JSON object"),
    ],
)
def test_bad_tuples_are_named_with_file_and_line(tmp_path, record, message):
    good = json.dumps({"query": "q", "passages": ["a", "b"]})
    path = tmp_path / "some.jsonl"
    path.write_text(f"{good}\n\n{json.dumps(record)}\n")
    with pytest.raises(InputError, match=rf"some\.jsonl:3.*{message}"):
        TupleFile(path)


def test_files_that_give_nothing_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the tuples .*none\.jsonl"):
        TupleFile(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="no tuple with a negative"):
        TupleFile(write(tmp_path / "bare.jsonl", [{"query": "q", "passages": ["a"]}]))
    (tmp_path / "latin.jsonl").write_bytes(b'{"query": "caf\xe9"}\n')
    with pytest.raises(InputError, match="not UTF-8"):
        TupleFile(tmp_path / "latin.jsonl")


def test_a_file_is_read_in_its_order(tmp_path):
    path = tmp_path / "some.jsonl"
    records = [{"query": f"wo ist Ü{i}?", "passages": [f"hier {i} 🙂", "dort"]} for i in range(5)]
    text = "\n\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    path.write_text(text, encoding="utf-8-sig")  # a byte order mark, blank lines, no line end at the end
    assert [one.query for one in TupleFile(path)] == [record["query"] for record in records]


def test_what_is_set_aside_is_never_seen(tmp_path):
    records = [
        {"query": "a", "passages": ["The cup.", "A hat", "A car"], "scores": [3, 2, 1]},  # loses a negative
        {"query": "b", "passages": ["A  HAT!", "A car"]},  # its positive is secret
        {"query": "c", "passages": ["A pen", "a hat"]},  # its only negative is
    ]
    found = TupleFile(write(tmp_path / "some.jsonl", records), {"a hat"})
    assert list(found) == [PassageTuple("a", ("The cup.", "A car"), (3.0, 1.0))]


def test_a_file_of_many_tuples_takes_eight_bytes_each(tmp_path):
    path = write(tmp_path / "big.jsonl", ({"query": "q", "passages": ["a" * 500, "b" * 500]} for _ in range(5000)))
    tracemalloc.start()
    found = TupleFile(path)
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 5000
    assert held < 300_000  # its places, and what the progress bar leaves
    assert most < 1_000_000 < path.stat().st_size


@given(negatives=st.integers(1, 6), ways=st.integers(2, 5), seed=st.integers(0, 99))
def test_taking_keeps_the_positive_and_repeats_only_in_need(negatives, ways, seed):
    whole = PassageTuple("q", tuple(map(str, range(negatives + 1))), tuple(map(float, range(negatives + 1))))
    taken = whole.take(ways, np.random.default_rng(seed))
    assert len(taken.passages) == ways
    assert taken.passages[0] == "0"
    assert "0" not in taken.passages[1:]
    assert len(set(taken.passages[1:])) == min(negatives, ways - 1)
    assert [str(int(score)) for score in taken.scores] == list(taken.passages)


def test_draws_follow_seed_key_and_shares(tmp_path):
    files = [
        TupleFile(
            write(tmp_path / f"{name}.jsonl", [{"query": f"{name}{i}", "passages": ["a", "b"]} for i in range(9)])
        )
        for name in "xy"
    ]
    mixture = TupleMixture(files, [0.9, 0.3], seed=1)
    drawn = [one.query for one in mixture.draw([4, 2], 400, 2)]
    assert drawn == [one.query for one in TupleMixture(files, [0.9, 0.3], seed=1).draw([4, 2], 400, 2)]
    assert drawn != [one.query for one in mixture.draw([4, 3], 400, 2)]
    assert drawn != [one.query for one in TupleMixture(files, [0.9, 0.3], seed=2).draw([4, 2], 400, 2)]
    assert len(set(drawn)) == 18
    assert 0.65 < np.mean([query.startswith("x") for query in drawn]) < 0.85  # 0.75 by the shares


def test_only_placed_rows_bring_tuples(config, tmp_path):
    model = start_model(config, ["some text", "more text"])
    windows = Windows(model.tokenizer, "", 48)
    rows = TokenLabels([Labelled("q", "a b"), Labelled("qq", "a b c d")], windows, windows)
    path = write(tmp_path / "some.jsonl", [{"query": "q", "positive": "a b", "negatives": ["c"]}])
    collate = TupleCollate(TupleMixture([TupleFile(path)], [1.0], 1), windows, windows, count=3, ways=4)
    placed = Placed(rows)
    batch = collate([placed[0], placed[1]])
    assert batch["labels"].shape == (2, 6)
    assert {name: tuple(value.shape) for name, value in batch["tuples"].items()} == {
        "query_ids": (3, 3), "query_mask": (3, 3), "passage_ids": (12, 4), "passage_mask": (12, 4), "scores": (3, 4),
    }  # fmt: skip
    assert batch["tuples"]["scores"].isnan().all()
    assert "tuples" not in collate([rows[0], rows[1]])


# The joint stage


def test_tuples_lower_the_retrieval_loss(config, data, tmp_path):
    recipe = replace(
        config, tuples={"tuples.jsonl": 1.0}, retrieval_weight=1.0, retrieval_loss="contrastive", epochs=12,
        hold_weight=0.0, ranking_weight=0.0, learning_rate=3e-3, noise_bits=2,
    )  # fmt: skip
    train(recipe, prepare(recipe, data, tmp_path), tmp_path)
    states = sorted(tmp_path.glob("joint/checkpoint-*/trainer_state.json"), key=lambda path: path.stat().st_mtime)
    losses = [row["retrieval"] for row in json.loads(states[-1].read_text())["log_history"] if "retrieval" in row]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_without_weight_no_tuples_are_opened(config, data, tmp_path):
    assert prepare(replace(config, tuples={"none.jsonl": 1.0}), data, tmp_path).tuples is None
    with pytest.raises(InputError, match=r"none\.jsonl"):
        prepare(replace(config, tuples={"none.jsonl": 1.0}, retrieval_weight=1.0), data, tmp_path)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("tuples", {"a": 0}),
        ("retrieval_loss", "hinge"),
        ("retrieval_weight", -1),
        ("retrieval_weight", 1.0),  # without tuples
        ("tuples_per_step", 0),
        ("ways", 1),
        ("noise_bits", 3),
        ("positive_weight", 0),
    ],
)
def test_bad_settings_are_named(config, setting, value):
    with pytest.raises(ConfigError, match=setting):
        replace(config, **{setting: value})


# Noise


@pytest.mark.parametrize("bits", list(COSINES))
@pytest.mark.parametrize("dim", [32, 128])
def test_noise_has_unit_length_and_the_stated_size(bits, dim):
    torch.manual_seed(1)
    vectors = torch.nn.functional.normalize(torch.randn(400, 20, dim), dim=-1)
    before = vectors.clone()
    noisy = CodecNoise(bits).train()(vectors)
    assert torch.equal(vectors, before)
    torch.testing.assert_close(noisy.norm(dim=-1), torch.ones(400, 20))
    cosines = (vectors * noisy).sum(dim=-1)
    moved = (cosines < 0.9999).all(dim=1)
    assert 0.4 < moved.float().mean() < 0.6
    assert torch.equal(noisy[~moved], vectors[~moved])
    assert cosines[moved].mean().item() == pytest.approx(COSINES[bits], abs=0.01)


def test_noise_is_for_training_and_follows_the_seed():
    vectors = torch.nn.functional.normalize(torch.randn(8, 4, 128), dim=-1)
    assert CodecNoise(2).eval()(vectors) is vectors
    assert CodecNoise(0).train()(vectors) is vectors
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        drawn.append(CodecNoise(1).train()(vectors))
    assert torch.equal(*drawn)


def test_the_head_stage_sees_noise(config):
    torch.manual_seed(0)
    queries, passages = (torch.nn.functional.normalize(torch.randn(4, 6, 16), dim=-1) for _ in range(2))
    kept, labels = torch.ones(4, 6, dtype=torch.bool), torch.ones(4, 6)
    head = EvidenceHead(EvidenceConfig(dim=16, width=8))
    calm, noisy = (HeadModel(head, replace(config, noise_bits=bits)) for bits in (0, 1))
    losses = [model.train()(queries, kept, passages, kept, labels)["evidence"] for model in (calm, noisy)]
    assert losses[0] != losses[1]
    losses = [model.eval()(queries, kept, passages, kept, labels)["evidence"] for model in (calm, noisy)]
    assert losses[0] == losses[1]


# Mining

FACTS = {
    "radium": "Marie Curie found radium in 1898",
    "copy": "marie curie found RADIUM, in 1898!",  # the positive in other dress
    "near": "Marie Curie found radium in some year",  # as good as an answer
    "polonium": "Marie Curie found polonium",
    "curie": "Curie lived elsewhere",
    "rain": "rain falls on roofs",
}
QUESTION = "when Marie Curie found radium"


@pytest.fixture
def source():
    return Source([Question(QUESTION, (FACTS["radium"],), ())], list(FACTS.values()))


def test_negatives_leave_out_positives_copies_and_answers(word_encoder, source, tmp_path):
    # MaxSim is about the number of the question's words in a passage: 4 (radium, copy, near), 3, 1, 0.
    report = Miner(word_encoder, MaxSimTeacher(word_encoder), MiningConfig(first=1, share=0.9)).mine(
        source, tmp_path / "out.jsonl"
    )
    (found,) = lines(tmp_path / "out.jsonl")
    assert found["query"] == QUESTION
    assert found["passages"] == [FACTS[name] for name in ("radium", "polonium", "curie", "rain")]
    assert found["scores"] == sorted(found["scores"], reverse=True)
    assert (report.found, report.known, report.too_close) == (6, 2, 1)
    assert (report.questions, report.written, report.negatives, report.bare) == (1, 1, 3, 0)
    assert next(iter(TupleFile(tmp_path / "out.jsonl"))).passages[0] == FACTS["radium"]  # ready for training


def test_ranks_and_numbers_are_kept(word_encoder, source, tmp_path):
    config = MiningConfig(first=4, last=5, negatives=1, share=1.0)
    report = Miner(word_encoder, MaxSimTeacher(word_encoder), config).mine(source, tmp_path / "out.jsonl")
    assert lines(tmp_path / "out.jsonl")[0]["passages"] == [FACTS["radium"], FACTS["polonium"]]
    assert (report.found, report.negatives) == (2, 1)


def test_a_judged_negative_comes_first_and_never_outscores_the_positive(word_encoder, tmp_path):
    refused = f"{QUESTION} nobody says"
    source = Source([Question(QUESTION, (FACTS["polonium"],), (refused,))], [refused, *FACTS.values()])
    config = MiningConfig(first=1, share=0.8, negatives=2)
    Miner(word_encoder, MaxSimTeacher(word_encoder), config).mine(source, tmp_path / "out.jsonl")
    (found,) = lines(tmp_path / "out.jsonl")
    assert found["passages"][:2] == [FACTS["polonium"], refused]
    assert found["scores"][1] == pytest.approx(0.8 * found["scores"][0], abs=1e-3)
    assert len(found["passages"]) == 3


def test_an_interrupted_run_goes_on(word_encoder, tmp_path):
    questions = [Question(f"{word} found", (fact,), ()) for word, fact in FACTS.items() if word != "copy"]
    source, out = Source(questions, list(FACTS.values())), tmp_path / "out.jsonl"
    config = MiningConfig(share=0.9)
    Miner(word_encoder, MaxSimTeacher(word_encoder), config).mine(source, tmp_path / "whole.jsonl")
    Miner(word_encoder, MaxSimTeacher(word_encoder), config).mine(replace(source, questions=questions[:2]), out)
    with out.open("a") as file:
        file.write('{"query": "polo')  # the process died here
    report = Miner(word_encoder, MaxSimTeacher(word_encoder), config).mine(source, out)
    assert out.read_text() == (tmp_path / "whole.jsonl").read_text()
    assert report.resumed == 2
    assert report.written == 3


def test_other_files_are_not_mixed(word_encoder, source, tmp_path):
    out = tmp_path / "out.jsonl"
    miner = Miner(word_encoder, MaxSimTeacher(word_encoder))
    miner.mine(source, out)
    with pytest.raises(InputError, match="another source"):
        miner.mine(replace(source, passages=source.passages[:2]), out)
    write(out, [{"something": "else"}])
    with pytest.raises(InputError, match="not written by this command"):
        miner.mine(source, out)


def test_mining_again_after_training_uses_the_new_model(config, data, tmp_path):
    # ColBERTv2 (arXiv 2112.01488), section 3.2: negatives come from the index of the model trained so far.
    passages = [record["passages"][0] for record in lines(data / "tuples.jsonl")][:12]
    questions = [
        Question(f"which colour has the {thing}", (passages[place],), ()) for place, thing in enumerate(THINGS)
    ]
    source, mining = Source(questions, passages), MiningConfig(first=1, last=12, share=1.0)
    models, found = [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made = start_model(config, passages)
        with torch.no_grad():  # what training does to a model: other weights
            made[1].linear.weight.copy_(torch.randn_like(made[1].linear.weight))
        made.save_pretrained(str(tmp_path / f"model{seed}"))
        models.append(Encoder.from_pretrained(tmp_path / f"model{seed}"))
    for place, model in enumerate(models):
        Miner(model, MaxSimTeacher(model), mining).mine(source, tmp_path / f"{place}.jsonl")
        found.append(lines(tmp_path / f"{place}.jsonl"))
        with closing(Index.open(tmp_path / f"{place}.jsonl.index", model, create=False)) as index:
            for record in found[-1]:  # the scores are those of this model's own index
                (matches,) = index.search(model.encode_queries([record["query"]]), 12)
                stored = {match.passage.text: match.score for match in matches}
                assert record["scores"] == pytest.approx([stored[text] for text in record["passages"]], abs=1e-3)
    assert [one["passages"][1:] for one in found[0]] != [one["passages"][1:] for one in found[1]]
    with pytest.raises(ModelMismatchError):  # never the old model's index, even where every question is answered
        Miner(models[1], MaxSimTeacher(models[1]), mining).mine(source, tmp_path / "0.jsonl")


def test_mined_negatives_can_teach_abstention(word_encoder, source, tmp_path):
    out = tmp_path / "out.jsonl"
    config = MiningConfig(negatives=2, share=0.9, as_spans=True)
    Miner(word_encoder, MaxSimTeacher(word_encoder), config).mine(source, out)
    examples = read_spans([out])
    assert [(one.query, one.annotations) for one in examples] == [(QUESTION, ((),))] * 2
    assert {one.passage for one in examples} == {FACTS["polonium"], FACTS["curie"]}


def test_sources_in_both_layouts(tmp_path):
    spans = [
        {"query": "q", "passage": "good", "spans": [[0, 4]]},
        {"query": "q", "passage": "bad", "spans": []},
        {"query": "r", "passage": "bad", "spans": []},
        {"query": "q", "passage": "!", "spans": []},
    ]
    read = read_source(write(tmp_path / "spans.jsonl", spans), "train")
    assert read == Source([Question("q", ("good",), ("bad",)), Question("r", (), ("bad",))], ["good", "bad"])
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    write(folder / "corpus.jsonl", [{"_id": key, "title": "", "text": f"text {key}"} for key in "abcd"])
    write(folder / "queries.jsonl", [{"_id": "1", "text": "q"}])
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n1\tb\t2\n1\tc\t0\n1\tz\t1\n")
    read = read_source(folder, "train")
    assert read.questions == [Question("q", ("text b", "text a"), ("text c",))]
    assert read.passages == ["text a", "text b", "text c", "text d"]


@given(
    scores=st.lists(st.floats(-30, 30), max_size=20),
    positive=st.floats(-30, 30),
    share=st.floats(0.5, 0.99),
    most=st.integers(0, 10),
)
@pytest.mark.parametrize("teacher", [MaxSimTeacher, CrossEncoderTeacher])
def test_what_comes_too_close_is_never_a_negative(teacher, scores, positive, share, most):
    ceiling = teacher.ceiling(None, positive, share)
    assert ceiling <= positive
    taken, close = hard_negatives(np.array(scores), ceiling, most)
    assert all(scores[place] <= ceiling for place in taken)
    assert all(scores[place] > ceiling for place in close)
    assert len(taken) == min(most, len(scores) - len(close))
    assert taken.tolist() == sorted(taken)  # the hardest first
    assert teacher.ceiling(None, positive, 1.0) == pytest.approx(positive)
    assert teacher.ceiling(None, positive, share / 2) <= ceiling  # a smaller share leaves out more


def test_ceilings_of_worked_examples():
    assert MaxSimTeacher.ceiling(None, 20.0, 0.95) == pytest.approx(19.0)
    assert MaxSimTeacher.ceiling(None, -2.0, 0.95) == pytest.approx(-2.1)
    # sigmoid(log 4) = 0.8; 0.5 * 0.8 = 0.4; logit(0.4) = log(2 / 3)
    assert CrossEncoderTeacher.ceiling(None, math.log(4), 0.5) == pytest.approx(math.log(2 / 3))


@pytest.fixture(scope="module")
def cross_encoder(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cross")
    AutoModelForSequenceClassification.from_pretrained(config.base, num_labels=1).save_pretrained(folder)
    AutoTokenizer.from_pretrained(config.base).save_pretrained(folder)
    return folder


def test_a_cross_encoder_scores_in_logits(cross_encoder):
    teacher = CrossEncoderTeacher(str(cross_encoder), "cpu")
    found = teacher.score(Searched(Question("q", (), ()), torch.zeros(0, 4), {}), ["a cup", "a hat"])
    chances = CrossEncoder(str(cross_encoder), device="cpu").predict([("q", "a cup"), ("q", "a hat")])
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), chances, rtol=1e-5)
    with pytest.raises(InputError, match="nothing-here"):
        CrossEncoderTeacher("nothing-here")


def test_maxsim_of_what_was_not_found_is_that_of_the_index(word_encoder):
    (query,) = word_encoder.encode_queries([QUESTION])
    searched = Searched(Question(QUESTION, (), ()), query, {"seen": 1.5})
    scores = MaxSimTeacher(word_encoder).score(searched, [FACTS["rain"], "seen", FACTS["radium"]])
    assert scores[1] == 1.5
    assert scores[2] == pytest.approx(4, abs=0.5)
    assert scores[0] < 1.5


def test_impossible_minings_are_refused():
    for settings in ({"first": 0}, {"first": 9, "last": 8}, {"negatives": 0}, {"share": 0.0}, {"share": 1.1}):
        with pytest.raises(ConfigError, match=next(iter(settings))):
            MiningConfig(**settings)


@pytest.mark.golden
def test_fgr_mine_is_a_command(tmp_path, capsys, cross_encoder):
    rows = [
        {"query": "When was radium found?", "passage": "Marie Curie found radium in 1898.", "spans": [[0, 32]]},
        {"query": "Who found penicillin?", "passage": "Fleming found penicillin in a dish.", "spans": [[0, 24]]},
        {"query": "Who found penicillin?", "passage": "Penicillin is sold in every pharmacy.", "spans": []},
        {"query": "Who made dynamite?", "passage": "Fleming found penicillin in a dish.", "spans": []},
        {"query": "What is a bridge for?", "passage": "The bridge carries the road over a river.", "spans": [[0, 40]]},
    ]
    path, out = write(tmp_path / "spans.jsonl", rows), tmp_path / "tuples.jsonl"
    command = ["mine", str(path), "--out", str(out), "--device", "cpu", "--first", "1", "--share", "0.9"]
    assert main(command) == 0
    assert "3 of 4 questions written" in capsys.readouterr().err
    found = {row["query"]: row for row in lines(out)}
    assert set(found) == {row["query"] for row in rows} - {"Who made dynamite?"}
    assert found["Who found penicillin?"]["passages"][:2] == [rows[1]["passage"], rows[2]["passage"]]
    assert all(row["scores"][0] == max(row["scores"]) for row in found.values())
    before = out.read_text()
    assert main(command) == 0
    assert "3 were already" in capsys.readouterr().err
    assert out.read_text() == before
    judged = ["--teacher", str(cross_encoder), "--as-spans"]
    assert main([*command[:3], str(tmp_path / "empty.jsonl"), *command[4:], *judged]) == 0
    assert all(row["spans"] == [] for row in lines(tmp_path / "empty.jsonl"))


def test_fgr_mine_names_what_is_missing(tmp_path):
    assert main(["mine", str(tmp_path / "none.jsonl"), "--out", str(tmp_path / "out.jsonl")]) == 3
    assert main(["mine", str(tmp_path / "none.jsonl"), "--out", str(tmp_path / "out.jsonl"), "--share", "2"]) == 2
