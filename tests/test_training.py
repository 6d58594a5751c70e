import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from fgr_retriever.cli import main
from fgr_retriever.encoder import Encoder
from fgr_retriever.errors import CheckpointError, ConfigError, InputError
from fgr_retriever.evaluation.spans import SpanExample
from fgr_retriever.testing import tiny_bert
from fgr_retriever.training.calibrate import THRESHOLDS, fit_threshold
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.data import TokenLabels, collate, read_spans, split, token_labels
from fgr_retriever.training.losses import evidence_loss, hold_loss, in_batch_maxsim, ranking_loss
from fgr_retriever.training.run import run
from fgr_retriever.training.start import principal_axes, start_model
from fgr_retriever.training.trainer import train
from fgr_retriever.windows import Windows

COLOURS = ["red", "blue", "green", "black", "white", "brown", "pink", "grey"]
THINGS = ["cup", "hat", "car", "box", "pen", "bag", "bed", "key"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Questions about things, whose evidence is the sentence with the thing."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for i in range(64):
        thing, other = THINGS[i % 8], THINGS[(i + 3) % 8]
        answer = f"The {thing} is {COLOURS[(i * 5) % 8]}."
        passage = f"The {other} is old {i}. {answer} It rains."
        start = passage.index(answer)
        rows.append(
            {"query": f"which colour has the {thing}", "passage": passage, "spans": [[start, start + len(answer)]]}
        )
    (folder / "spans.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny_bert(folder)
    return TrainingConfig(
        base=str(folder), spans=("spans.jsonl",), held_out=0.2, dim=16, head_width=8, reader_layers=1, reader_width=8,
        query_maxlen=48, doc_maxlen=48,
        epochs=1, batch_size=8, learning_rate=1e-3,
    )  # fmt: skip


def test_training_writes_a_model_that_opens_and_searches(config, data, tmp_path):
    folder = run(config, data, tmp_path / "run")
    encoder = Encoder.from_pretrained(folder)
    assert encoder.head.config.width == 8
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert encoder.threshold == report["threshold"]
    assert report["held_out"] > 0
    assert "FGR-ColBERT" in (folder / "README.md").read_text()
    (query,) = encoder.encode_queries(["which colour has the cup"])
    assert query.shape[1] == 16


def test_training_lowers_the_evidence_loss(config, data, tmp_path):
    longer = replace(config, epochs=6, hold_weight=0.0, ranking_weight=0.0)
    train(longer, data, tmp_path)
    states = sorted(tmp_path.glob("checkpoint-*/trainer_state.json"), key=lambda path: path.stat().st_mtime)
    log = json.loads(states[-1].read_text())["log_history"]
    losses = [row["evidence"] for row in log if "evidence" in row]
    assert float(losses[-1]) < float(losses[0])


def test_an_interrupted_run_resumes_and_ends_like_an_uninterrupted_one(config, data, tmp_path, monkeypatch):
    from fgr_retriever.training import trainer as module

    arguments = module._arguments

    def often(recipe, out):
        made = arguments(recipe, out)
        made.save_steps = 2
        return made

    monkeypatch.setattr(module, "_arguments", often)
    whole, _, _ = train(config, data, tmp_path / "whole")
    forward, calls = module.JointModel.forward, []

    def dies(self, **batch):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return forward(self, **batch)

    monkeypatch.setattr(module.JointModel, "forward", dies)
    with pytest.raises(KeyboardInterrupt):
        train(config, data, tmp_path / "cut")
    assert (tmp_path / "cut" / "checkpoint-2").exists()
    calls.extend([1] * 100)
    resumed, _, _ = train(config, data, tmp_path / "cut")
    assert len(calls) < 100 + 4 + 8  # it did not start again from the first step
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-2)


def test_a_folder_with_another_recipe_is_refused(config, data, tmp_path):
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(ConfigError, match="another recipe"):
        train(config, data, tmp_path)


def test_fgr_train_is_a_command(config, data, tmp_path):
    import yaml

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"base": config.base, "spans": ["spans.jsonl"], "epochs": 0.2, "held_out": 0.3,
                                      "dim": 16, "doc_maxlen": 48, "query_maxlen": 48}))  # fmt: skip
    assert main(["train", str(recipe), "--data", str(data), "--out", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "model" / "evidence" / "config.json").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: x", "lacks the settings"),
        ("- a", "mapping"),
        ("base: x\nspans: [a]\nlearning: 3", "unknown settings"),
        ("base: x\nspans: a", "at least one file"),
        ("base: x\nspans: [a]\nheld_out: 2", "held_out"),
        ("base: x\nspans: [a]\nepochs: 0", "epochs"),
        ("base: [", "not valid YAML"),
    ],
)
def test_bad_recipes_name_the_fault(tmp_path, text, message):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        TrainingConfig.read(tmp_path / "recipe.yaml")


def test_missing_files_are_named(config, tmp_path):
    with pytest.raises(InputError, match=r"nothing\.yaml"):
        TrainingConfig.read(tmp_path / "nothing.yaml")
    with pytest.raises(InputError, match=r"nothing\.jsonl"):
        read_spans([tmp_path / "nothing.jsonl"])
    with pytest.raises(CheckpointError, match="no_such_package"):
        start_model(replace(config, base="package:no_such_package"), ["a"])


def test_labels_of_a_worked_example():
    offsets = np.array([[0, 0], [0, 3], [4, 7], [8, 10], [10, 10]], dtype=np.int32)
    assert token_labels(offsets, [(4, 9)]).tolist() == [-1, 0, 1, 1, -1]
    assert token_labels(offsets, []).tolist() == [-1, 0, 0, 0, -1]


def test_split_never_shares_a_passage(data):
    examples = read_spans([data / "spans.jsonl"]) * 2
    kept, aside = split(examples, 0.3, seed=3)
    assert kept
    assert aside
    assert len(kept) + len(aside) == len(examples)
    assert not {one.passage for one in kept} & {one.passage for one in aside}


def test_collate_pads_with_no_label(config):
    model = start_model(config, ["some text", "more text here"])
    windows = Windows(model.tokenizer, "", 48)
    examples = [SpanExample("q", "a b", (((0, 1),),)), SpanExample("qq", "a b c d", ((),))]
    batch = collate([TokenLabels(examples, windows, windows)[i] for i in range(2)])
    assert batch["labels"].tolist() == [[-1, 1, 0, -1, -1, -1], [-1, 0, 0, 0, 0, -1]]
    assert batch["passage_mask"].tolist() == [[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]]


def test_principal_axes_keep_dot_products_best():
    torch.manual_seed(0)
    vectors = torch.randn(500, 8) * torch.tensor([5.0, 4, 3, 1, 0.1, 0.1, 0.1, 0.1])
    axes = principal_axes(vectors, 4)
    torch.testing.assert_close(axes @ axes.T, torch.eye(4), atol=1e-5, rtol=0)
    kept = (vectors @ axes.T).pow(2).sum() / vectors.pow(2).sum()
    assert kept > 0.99


def test_losses_of_worked_examples():
    mask = torch.tensor([[True, True, False]])
    logits, labels = torch.tensor([[0.0, 0.0, 9.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    torch.testing.assert_close(evidence_loss(logits, labels, mask), torch.tensor(2.0).log())
    unit = torch.eye(3)[None]
    turned = torch.tensor([[[0.0, 1, 0], [0, 1, 0], [1, 0, 0]]])
    torch.testing.assert_close(hold_loss(unit, turned, mask), torch.tensor(0.5))  # cosines 0 and 1; the third is masked
    scores = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    assert ranking_loss(scores, scores).abs() < 1e-6
    assert ranking_loss(scores, scores.flip(1)) > 0


def test_in_batch_maxsim_of_a_worked_example():
    queries = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [9.0, 9.0]]])
    query_mask = torch.tensor([[True, True], [True, False]])
    passages = torch.tensor([[[1.0, 0.0], [0.8, 0.6]], [[-1.0, 0.0], [9.0, 9.0]]])
    passage_mask = torch.tensor([[True, True], [True, False]])
    found = in_batch_maxsim(queries, query_mask, passages, passage_mask)
    torch.testing.assert_close(found, torch.tensor([[1.6, -1.0], [0.96, -0.6]]))


def test_threshold_is_the_middle_of_the_best_plateau(word_encoder):
    passage = "radium glows here. nothing else matters today."
    examples = [SpanExample("radium glows here", passage, (((0, 17),),))]
    threshold, curve = fit_threshold(word_encoder, examples)
    assert set(curve) == set(THRESHOLDS)
    assert curve[threshold] == 1.0
    with pytest.raises(InputError, match="held-out"):
        fit_threshold(word_encoder, [])
