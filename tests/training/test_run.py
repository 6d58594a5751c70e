import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import DistilBertConfig, DistilBertModel

from fgr_retriever.cli import main
from fgr_retriever.errors import CheckpointError, ConfigError, InputError
from fgr_retriever.evaluation.spans import SpanExample
from fgr_retriever.model.bi_encoder import principal_axes
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.model.precision import VARIABLE
from fgr_retriever.model.windows import Windows
from fgr_retriever.testing import tiny_bert
from fgr_retriever.training import stage as stage_module
from fgr_retriever.training.calibrate import THRESHOLDS, fit_threshold
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.data import (
    Labelled,
    TokenLabels,
    collate,
    labelled,
    mismatched,
    read_labelled,
    read_pairs,
    read_spans,
    sample,
    split,
    token_labels,
    without,
    write_labelled,
)
from fgr_retriever.training.joint import JointModel
from fgr_retriever.training.labeller import label, train_labeller
from fgr_retriever.training.light import untrained_light
from fgr_retriever.training.losses import evidence_loss, hold_loss, in_batch_maxsim, ranking_loss
from fgr_retriever.training.mixture import prepare
from fgr_retriever.training.run import MODEL_FOLDER, run, train
from fgr_retriever.training.stage import Stage
from fgr_retriever.training.start import start_model

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
    coarse = [{**row, "passage": f"{row['passage']} Then {i}."} for i, row in enumerate(rows[:18])]
    (folder / "coarse.jsonl").write_text("\n".join(map(json.dumps, coarse)))
    secret = [{**coarse[place], "passage": coarse[place]["passage"].upper()} for place in (0, 1)]
    (folder / "aside.jsonl").write_text("\n".join(map(json.dumps, secret)))
    write_beir(folder / "beir")
    write_lists(folder / "lists.jsonl")
    return folder


def write_lists(file):
    """One question with a passage that answers and one that does not."""
    passages = [
        {"id": "a", "passage": "The lamp is green. It is old.", "grade": 3, "spans": [[0, 18]]},
        {"id": "b", "passage": "The lamp is old. It is warm.", "grade": 0, "spans": []},
        {"id": "c", "passage": "...", "grade": 0, "spans": []},  # of which no token is stored
    ]
    file.write_text(json.dumps({"query": "which colour has the lamp", "passages": passages}) + "\n")


def write_beir(folder):
    """One question with a good and a bad passage."""
    (folder / "qrels").mkdir(parents=True)
    texts = {"a": "The hat is red. It is warm.", "b": "The pen is blue."}
    passages = [{"_id": key, "title": "", "text": text} for key, text in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, passages)))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "1", "text": "which colour has the hat"}))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t2\n1\tb\t0\n")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny_bert(folder)
    return TrainingConfig(
        base=str(folder), spans=("spans.jsonl",), held_out=0.2, dim=16, head_width=8, reader_layers=1, reader_width=8,
        query_maxlen=48, doc_maxlen=48,
        epochs=1, head_epochs=1, batch_size=8, learning_rate=1e-3,
    )  # fmt: skip


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def precision(request):
    """Either precision, whatever the processor has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, request.param)
        yield request.param


@pytest.fixture(scope="module")
def finished(config, data, precision, tmp_path_factory):
    """A run with every stage: labeller on coarse and exact labels, relabelling, joint, head, calibration."""
    out = tmp_path_factory.mktemp("run")
    everything = replace(
        config, lists=("lists.jsonl",), coarse={"coarse.jsonl": 0.5}, pairs={"beir": 1.0}, aside=("aside.jsonl",),
        light_width=8, code_size=4, light_epochs=2.0, light_branch=1,
    )  # fmt: skip
    return out, run(everything, data, out), everything


def test_training_writes_a_model_that_opens_and_searches(finished, precision):
    out, folder, _ = finished
    encoder = Encoder.from_pretrained(folder)
    assert encoder.head.config.width == 8
    assert encoder.evidence_code.nbytes == 2
    assert len(encoder.head.coder.branch) == 1
    report = json.loads((out / "report.json").read_text())
    assert encoder.calibration.threshold == report["threshold"]
    assert report["held_out"] > 0
    assert (folder / "fingerprint").read_text().strip() == encoder.fingerprint
    assert report["machine"].endswith(f", {precision}")
    assert "FGR-ColBERT" in (folder / "README.md").read_text()
    (query,) = encoder.encode_queries(["which colour has the cup"])
    assert query.shape[1] == 16


def test_a_finished_run_is_not_trained_again(finished, data):
    out, folder, config = finished
    weights = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors") if MODEL_FOLDER not in path.parts}
    before = (folder / "evidence" / "model.safetensors").read_bytes()
    assert run(config, data, out) == folder
    assert weights == {path: path.stat().st_mtime_ns for path in weights}
    assert (folder / "evidence" / "model.safetensors").read_bytes() == before


def test_the_mixture_is_relabelled_and_leaks_nothing(finished, data):
    out, _, config = finished
    mixture = prepare(config, data, out)
    assert len(mixture.relabelled) == 8 + 2
    assert all(0 <= chance <= 1 for example in mixture.relabelled for _, _, chance in example.ranges)
    assert mixture.relabelled[-2].ranges  # a pair without labels got some
    assert mixture.relabelled[-1].ranges == ()  # people judged that this passage does not answer
    secret = {example.passage for example in mixture.held_out} | {
        json.loads(line)["passage"] for line in (data / "coarse.jsonl").read_text().splitlines()[:2]
    }
    assert not {example.passage for example in mixture.exact + mixture.relabelled} & secret


def test_coarse_labels_sharpen_the_labeller_and_an_empty_one_is_certain(config, data, tmp_path):
    passage = "Marie found radium."
    write_labelled(
        [Labelled("who?", passage, ((0, 5, 0.5), (6, 11, 0.5), (12, 18, 0.8)))] * 2, tmp_path / "relabelled.jsonl"
    )
    coarse = [
        {"query": "who?", "passage": passage, "spans": [[0, 8]]},
        {"query": "who?", "passage": passage, "spans": []},
    ]
    (tmp_path / "coarse.jsonl").write_text("".join(json.dumps(one) + "\n" for one in coarse))
    recipe = replace(config, coarse={str(tmp_path / "coarse.jsonl"): 1.0}, pairs={}, coarse_odds=4.0)
    by_ranges = {len(one.ranges): one for one in prepare(recipe, data, tmp_path).relabelled}
    # Odds of 1 become 4 to 1 inside and 1 to 4 outside; 0.8 has odds of 4, and 1 outside.
    assert [chance for *_, chance in by_ranges[3].ranges] == pytest.approx([0.8, 0.8, 0.5])
    assert by_ranges[0].ranges == ()


def test_the_labeller_learns_from_labels(config, data, precision, tmp_path):
    examples = labelled(read_spans([data / "spans.jsonl"]))
    folder = train_labeller(config.base, examples, Stage(epochs=30, learning_rate=3e-3), tmp_path)
    inside, outside = [], []
    for example, found in zip(examples, label(folder, examples), strict=True):
        assert found.query == example.query
        assert found.passage == example.passage
        ((start, end, _),) = example.ranges
        for first, last, chance in found.ranges:
            (inside if start <= first and last <= end else outside).append(chance)
    assert np.mean(inside) > 0.6
    assert np.mean(outside) < 0.4


def test_the_labeller_reads_long_passages_in_windows(config, tmp_path):
    passage = " ".join(f"word{i}" for i in range(900))
    folder = train_labeller(
        config.base, [Labelled("which word", passage)], Stage(epochs=1, learning_rate=1e-3), tmp_path
    )
    (found,) = label(folder, [Labelled("which word", passage)])
    covered = {place for start, end, _ in found.ranges for place in range(start, end)}
    assert covered >= {place for place, letter in enumerate(passage) if letter != " "}


def test_training_lowers_the_evidence_loss(config, data, tmp_path):
    longer = replace(config, epochs=6, hold_weight=0.0, ranking_weight=0.0)
    train(longer, prepare(longer, data, tmp_path), tmp_path)
    states = sorted(tmp_path.glob("joint/checkpoint-*/trainer_state.json"), key=lambda path: path.stat().st_mtime)
    log = json.loads(states[-1].read_text())["log_history"]
    losses = [row["evidence"] for row in log if "evidence" in row]
    assert float(losses[-1]) < float(losses[0])


def test_the_head_stage_leaves_the_encoder_alone(config, data, tmp_path):
    mixture = prepare(config, data, tmp_path)
    head = train(config, mixture, tmp_path)
    joint = load_file(tmp_path / "joint.safetensors")
    for name, value in load_file(tmp_path / MODEL_FOLDER / "model.safetensors").items():
        assert torch.equal(value, joint[f"encoder.0.model.{name}"].bfloat16())
    assert any(not torch.equal(value, joint[f"head.{name}"]) for name, value in head.state_dict().items())


def test_an_interrupted_run_resumes_and_ends_like_an_uninterrupted_one(config, data, tmp_path, monkeypatch):
    arguments = stage_module._arguments

    def often(*settings):
        made = arguments(*settings)
        made.save_steps = 2
        return made

    monkeypatch.setattr(stage_module, "_arguments", often)
    mixture = prepare(config, data, tmp_path)
    torch.manual_seed(123)
    train(config, mixture, tmp_path / "whole")
    forward, calls = JointModel.forward, []

    def dies(self, **batch):
        calls.extend([1] * self.training)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return forward(self, **batch)

    monkeypatch.setattr(JointModel, "forward", dies)
    torch.manual_seed(456)  # what this process drew before makes no difference
    with pytest.raises(KeyboardInterrupt):
        train(config, mixture, tmp_path / "cut")
    assert (tmp_path / "cut" / "joint" / "checkpoint-2").exists()
    calls.extend([1] * 100)
    train(config, mixture, tmp_path / "cut")
    steps = -(-len(mixture.exact + mixture.relabelled) // config.batch_size)
    assert len(calls) == 100 + 4 + steps - 2  # it went on from the second step
    for stage in ("joint", "head"):
        ours, theirs = (load_file(tmp_path / which / f"{stage}.safetensors") for which in ("cut", "whole"))
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-2)


def test_a_folder_with_another_recipe_is_refused(config, data, tmp_path):
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(ConfigError, match="another recipe"):
        run(config, data, tmp_path)


def test_passages_without_words_are_not_trained_on(finished):
    out, folder, _ = finished
    for file in [*out.glob("*.safetensors"), folder / "evidence" / "model.safetensors"]:
        assert all(value.isfinite().all() for value in load_file(file).values())
    assert without([Labelled("q", "..."), Labelled("q", "a")], []) == [Labelled("q", "a")]


def test_leaks_are_found_by_their_words():
    examples = [Labelled("q", "The  cup, is RED."), Labelled("q", "The cup is blue.")]
    assert without(examples, ["the cup is red"]) == examples[1:]


def test_labelled_examples_survive_the_disk(tmp_path):
    examples = [Labelled("wer?", "Über\nalles 🙂", ((0, 4, 0.25), (5, 10, 1.0))), Labelled("q", "p")]
    write_labelled(examples, tmp_path / "some.jsonl")
    assert read_labelled(tmp_path / "some.jsonl") == examples
    assert [path.name for path in tmp_path.iterdir()] == ["some.jsonl"]


def test_samples_are_drawn_without_replacement():
    examples = [Labelled(str(place), str(place)) for place in range(10)]
    drawn = sample(examples, 0.5, seed=1)
    assert len(set(drawn)) == 5
    assert sample(examples, 0.5, seed=1) == drawn
    assert sorted(sample(examples, 1.0, seed=1), key=lambda one: one.query) == examples
    strangers = mismatched(examples, 1.0, seed=1)
    assert all(example.query != example.passage and not example.ranges for example in strangers)
    assert {example.passage for example in strangers} == {example.passage for example in examples}


def test_fgr_train_is_a_command(config, data, precision, tmp_path, capsys):
    import yaml

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"base": config.base, "spans": ["spans.jsonl"], "epochs": 0.2, "held_out": 0.3,
                                      "head_epochs": 0.2, "batch_size": 8, "dim": 16, "doc_maxlen": 48,
                                      "query_maxlen": 48}))  # fmt: skip
    assert main(["train", str(recipe), "--data", str(data), "--out", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "model" / "evidence" / "config.json").exists()
    told = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("training on "))
    assert told.endswith(f", {precision}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: x", "lacks the settings"),
        ("- a", "mapping"),
        ("base: x\nspans: [a]\nlearning: 3", "unknown settings"),
        ("base: x\nspans: a", "at least one file"),
        ("base: x\nspans: [a]\nheld_out: 2", "held_out"),
        ("base: x\nspans: [a]\nepochs: 0", "epochs"),
        ("base: x\nspans: [a]\nhead_epochs: many", "head_epochs"),
        ("base: x\nspans: [a]\npatience: 0.5", "patience"),
        ("base: x\nspans: [a]\ncoarse: [b]", "coarse"),
        ("base: x\nspans: [a]\npairs: {b: 2}", "pairs"),
        ("base: x\nspans: [a]\naside: b", "aside"),
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
    with pytest.raises(InputError, match="nowhere"):
        read_pairs(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="no_such_package"):
        start_model(replace(config, base="package:no_such_package"), ["a"])


def test_labels_of_a_worked_example():
    offsets = np.array([[0, 0], [0, 3], [4, 7], [8, 10], [10, 10]], dtype=np.int32)
    assert token_labels(offsets, ((4, 9, 0.5), (8, 9, 1.0))).tolist() == [-1, 0, 0.5, 1, -1]
    assert token_labels(offsets, ()).tolist() == [-1, 0, 0, 0, -1]
    assert token_labels(offsets, None).tolist() == [-1] * 5


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
    examples = [Labelled("q", "a b", ((0, 1, 1.0),)), Labelled("qq", "a b c d")]
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


def test_the_threshold_keeps_nothing_for_foreign_questions(word_encoder):
    # Different words have small similarities by chance: evidence at a low threshold, and wrong.
    words = ("radium", "copper", "silver", "carbon", "helium", "iodine")
    examples = [SpanExample(word, f"{word} glows", (((0, len(word) + 6),),)) for word in words]
    threshold, curve = fit_threshold(word_encoder, examples)
    assert curve[threshold] == 1.0
    assert curve[THRESHOLDS[0]] < 1.0


def test_examples_of_a_file_are_seen_as_often_as_the_recipe_says(finished, data, tmp_path):
    out, _, config = finished
    named = {config.spans[0]: 2, next(iter(config.coarse)): 3}
    mixture = prepare(replace(config, repeat=named), data, out)
    assert [one.times for one in mixture.exact[-2:]] == [1, 1]  # of the list, which is not named
    assert {one.times for one in mixture.exact[:-2]} == {2}
    assert [one.times for one in mixture.relabelled] == [3] * 8 + [1] * 2
    with pytest.raises(ConfigError, match=r"repeat names \['nowhere.jsonl'\]"):
        replace(config, repeat={"nowhere.jsonl": 2})
    with pytest.raises(ConfigError, match="whole number"):
        replace(config, repeat={config.spans[0]: 0})


def test_only_layers_of_bert_can_be_copied_for_evidence(config):
    model = DistilBertModel(DistilBertConfig(vocab_size=9, dim=8, n_layers=2, n_heads=2, hidden_dim=8))
    recipe = replace(config, light_width=4, light_branch=1)
    with pytest.raises(ConfigError, match=r"light_branch=1: DistilBertModel .* GELU"):
        untrained_light(recipe, model)
    model.config.hidden_act = "gelu"
    with pytest.raises(ConfigError, match=r"light_branch=1: .* DistilBertModel has no 'encoder\.layer\.1\."):
        untrained_light(recipe, model)
    with pytest.raises(ConfigError, match=r"light_branch=3: DistilBertModel has 2 layers"):
        untrained_light(replace(recipe, light_branch=3), model)
    assert untrained_light(replace(recipe, light_branch=0), model).branch == 0


@pytest.mark.parametrize("wrong", [-1, 1.5, True])
def test_a_branch_has_a_whole_number_of_layers(config, wrong):
    with pytest.raises(ConfigError, match="light_branch"):
        replace(config, light_branch=wrong)
