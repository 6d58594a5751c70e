"""A stage of training, and what a run leaves behind: early stopping, resuming, curves and the model card."""

import json
import shutil

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from transformers import TrainerState

from fgr_retriever.evaluation.spans import evaluate_spans
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.testing import tiny_bert
from fgr_retriever.training import stage as stage_module
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.curves import read_stages
from fgr_retriever.training.data import read_spans
from fgr_retriever.training.joint import JointModel
from fgr_retriever.training.mixture import prepare
from fgr_retriever.training.report import spread
from fgr_retriever.training.run import run
from fgr_retriever.training.stage import Stage, last_checkpoint, run_stage


class Slider(nn.Module):
    """One weight that starts at 0 and is pulled to the mean of the rows."""

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1))

    def forward(self, targets):
        loss = (self.place - targets).pow(2).mean()
        return {"loss": loss, "evidence": loss.detach()}


def rows(target, count):
    return [{"input_ids": [0], "target": float(target)} for _ in range(count)]


def collate(batch):
    return {"targets": torch.tensor([row["target"] for row in batch])}


def slide(out, patience, *, towards=1.0, best=0.25, steps=100):
    """Train on rows at `towards`, judge by rows at `best`; Adam moves the weight by about 0.01 a step."""
    model = Slider()
    stage = Stage(epochs=1, learning_rate=0.01, batch_size=1, patience=patience)
    run_stage(model, rows(towards, steps), collate, stage, out, rows(best, 3))
    return model.place.item()


def test_a_stage_may_end_with_the_mean_of_its_last_weights_also_if_it_was_interrupted(tmp_path):
    stage = Stage(epochs=1, learning_rate=0.01, batch_size=1, average_from=0.5)
    means = []
    for name in ("whole", "resumed"):
        out = tmp_path / name
        model = Slider()
        run_stage(model, rows(1, 100), collate, stage, out, rows(1, 3))
        kept = {int(file.stem.split("-")[1]): load_file(file)["place"].item() for file in out.glob("snapshot-*")}
        assert sorted(kept) == [50, 60, 70, 80, 90, 100]
        assert model.place.item() == pytest.approx(sum(kept.values()) / 6)
        assert model.place.item() < kept[100]  # it rises towards 1
        means.append(model.place.item())
        if name == "whole":
            # What is there when a run is killed after its ninetieth step.
            shutil.copytree(out, tmp_path / "resumed", ignore=shutil.ignore_patterns("*-100*"))
            assert last_checkpoint(tmp_path / "resumed").name == "checkpoint-90"
    assert means[1] == pytest.approx(means[0])


def log_of(out):
    """Read the log of the last checkpoint."""
    last = last_checkpoint(out)
    return TrainerState.load_from_json(str(last / "trainer_state.json")).log_history


def test_a_stage_whose_held_out_loss_rises_ends_early_with_its_best_weights(tmp_path):
    place = slide(tmp_path, patience=2)
    log = log_of(tmp_path)
    judged = {line["step"]: line["eval_loss"] for line in log if "eval_loss" in line}
    best = min(judged, key=judged.get)
    assert list(judged) == list(range(10, best + 21, 10))  # two more looks, and then no more
    assert best < 80
    assert (place - 0.25) ** 2 == pytest.approx(judged[best], rel=1e-4)


def test_without_patience_a_stage_goes_to_its_end(tmp_path):
    place = slide(tmp_path, patience=0)
    judged = {line["step"]: line["eval_loss"] for line in log_of(tmp_path) if "eval_loss" in line}
    assert list(judged) == list(range(10, 101, 10))
    assert (place - 0.25) ** 2 == pytest.approx(judged[100], rel=1e-4)
    assert place > 0.35


class Interruption(Exception):
    pass


def interrupt(monkeypatch, calls):
    """Let the model fail at one of its calls, once."""
    forward, count = Slider.forward, iter(range(calls))

    def fails(self, targets):
        if next(count, None) is None:
            monkeypatch.setattr(Slider, "forward", forward)
            raise Interruption
        return forward(self, targets)

    monkeypatch.setattr(Slider, "forward", fails)


# A tenth of the stage is 10 steps and 3 held-out rows; the third is the best, the fifth the last: the calls fall before
# any checkpoint, before the best weights, and into the patience.
@pytest.mark.parametrize("calls", [5, 35, 60])
def test_an_interrupted_stage_ends_like_an_uninterrupted_one(tmp_path, monkeypatch, calls):
    whole = slide(tmp_path / "whole", patience=2)
    interrupt(monkeypatch, calls)
    with pytest.raises(Interruption):
        slide(tmp_path / "cut", patience=2)
    assert slide(tmp_path / "cut", patience=2) == pytest.approx(whole, abs=1e-6)
    keys = ("step", "loss", "evidence", "eval_loss")
    cut, uncut = ([[line.get(key) for key in keys] for line in log_of(tmp_path / one)] for one in ("cut", "whole"))
    assert cut == uncut


def test_a_half_written_checkpoint_is_not_resumed_from(tmp_path):
    whole = slide(tmp_path / "whole", patience=2)
    (tmp_path / "cut" / "checkpoint-90").mkdir(parents=True)  # the state is written last, and is not there
    assert slide(tmp_path / "cut", patience=2) == pytest.approx(whole, abs=1e-6)


class Watch:
    """A clock that is read by hand: every step of the model takes two seconds."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


def test_the_time_of_a_stage_adds_up_over_a_resume(tmp_path, monkeypatch):
    watch, forward = Watch(), Slider.forward

    def slow(self, targets):
        watch.now += 2.0 * self.training
        return forward(self, targets)

    monkeypatch.setattr(stage_module, "time", watch)
    monkeypatch.setattr(Slider, "forward", slow)
    interrupt(monkeypatch, 45)  # in step 37
    with pytest.raises(Interruption):
        slide(tmp_path, patience=0)
    watch.now += 1000  # nobody trained
    slide(tmp_path, patience=0)
    lines = {line["step"]: line["seconds"] for line in log_of(tmp_path)}
    assert lines[30] == 60
    assert lines[100] == 200  # steps 31 to 36 were lost, and count once


NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
ANIMALS = ["cat", "dog", "cow", "hen", "fox", "owl", "bee", "ant"]


def example(i):
    """Where an animal lives; every ninth passage does not say it."""
    animal, place = ANIMALS[i % 8], NUMBERS[i * 3 % 8]
    answer = f"The {animal} lives in house {place}."
    passage = f"It is day {i}. " + ("Nobody is at home." if i % 9 == 8 else answer)
    start = passage.find(answer)
    return {
        "query": f"where does the {animal} live",
        "passage": passage,
        "spans": [] if start < 0 else [[start, start + len(answer)]],
    }


def write(file, examples):
    file.write_text("\n".join(map(json.dumps, examples)))


@pytest.fixture(scope="module")
def recipe_and_data(tmp_path_factory):
    base, data = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("data")
    tiny_bert(base)
    write(data / "exact.jsonl", map(example, range(64)))
    write(data / "coarse.jsonl", map(example, range(100, 120)))
    write(data / "aside.jsonl", map(example, range(200, 210)))
    recipe = TrainingConfig(
        base=str(base), spans=("exact.jsonl",), coarse={"coarse.jsonl": 0.5}, aside=("aside.jsonl",), held_out=0.2,
        dim=16, head_width=8, reader_layers=1, reader_width=8, query_maxlen=48, doc_maxlen=48,
        epochs=2, head_epochs=2, batch_size=8, patience=2,
    )  # fmt: skip
    return recipe, data


@pytest.fixture(scope="module")
def finished(recipe_and_data, tmp_path_factory):
    recipe, data = recipe_and_data
    out = tmp_path_factory.mktemp("run")
    return out, run(recipe, data, out)


def sections(folder):
    """Split a card into its front matter and its rows of tables, cell by cell."""
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return yaml.safe_load(front), rows, text


def test_the_report_says_what_the_model_reaches(finished, recipe_and_data):
    (out, folder), (recipe, data) = finished, recipe_and_data
    report, encoder = json.loads((out / "report.json").read_text()), Encoder.from_pretrained(folder)
    held_out = prepare(recipe, data, out).held_out
    assert report["held_out"] == len(held_out) > 0
    assert report["scores"] == {
        "held out": evaluate_spans(encoder, held_out).to_json(),
        "aside.jsonl": evaluate_spans(encoder, read_spans([data / "aside.jsonl"])).to_json(),
    }
    assert report["sources"] == [
        {"name": "exact.jsonl", "kind": "spans", "share": 1.0, "used": 64 - len(held_out)},
        {"name": "coarse.jsonl", "kind": "coarse", "share": 0.5, "used": 10},
    ]
    assert report["longest_passage"] == len("It is day 103. The cow lives in house three.")
    used = [row for row in map(example, range(64)) if row["passage"] not in {one.passage for one in held_out}]
    assert report["without_evidence"] == sum(not row["spans"] for row in used) / len(used)


def test_the_card_says_what_the_report_says(finished):
    out, folder = finished
    report = json.loads((out / "report.json").read_text())
    front, rows, text = sections(folder)
    assert front["library_name"] == "sentence-transformers"
    assert front["datasets"] == ["exact.jsonl", "coarse.jsonl"]
    assert "base_model" not in front  # a folder is no name on the hub
    for name, scores in report["scores"].items():
        place = next(place for place, row in enumerate(rows) if row[0] == f"{name} ({scores['n']})")
        told = (scores, scores["floors"]["best_sentence"], scores["floors"]["keep_all"])
        for row, figures in zip(rows[place : place + 3], told, strict=True):
            assert row[2:] == [f"{100 * figures[key]:.1f}" for key in ("f1", "precision", "recall", "kept")]
    for name, stage in report["stages"].items():
        steps = f"{stage['steps']} of {stage['planned_steps']}"
        assert [name, steps, str(stage["kept_step"]), f"{stage['seconds'] / 60:.1f}"] in rows
    assert ["`coarse.jsonl`", "coarse labels, relabelled", "50 %", "10"] in rows
    assert f"threshold {report['threshold']:g}, temperature\n{report['temperature']:g};" in text
    assert f"has {report['longest_passage']} characters" in text
    assert f"On {report['machine']}, seed 1." in text
    recipe = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert recipe == report["recipe"]


def test_curves_and_pictures_are_written(finished):
    out, folder = finished
    curves = json.loads((out / "curves.json").read_text())
    assert list(curves) == ["labeller/coarse", "labeller/exact", "joint", "head"]
    for name, stage in curves.items():
        assert {"step", "loss", "learning_rate", "seconds"} <= stage["log"][0].keys()
        judged = {line["step"]: line["eval_loss"] for line in stage["log"] if "eval_loss" in line}
        assert bool(judged) == (name in ("joint", "head"))
        if judged:
            assert min(judged, key=judged.get) == stage["kept_step"]
    text = (folder / "README.md").read_text()
    for picture in folder.glob("*.png"):
        assert f"]({picture.name})" in text
        assert (
            picture.stat().st_size < 500_000
        )  # a hundredth of the package; how well a curve packs depends on its noise
        with Image.open(picture) as opened:
            assert len(opened.convert("L").getcolors(256)) > 10  # something is drawn
    assert len(list(folder.glob("*.png"))) == 2


def test_a_long_run_resumes_with_everything_in_the_report(finished, recipe_and_data, tmp_path, monkeypatch):
    recipe, data = recipe_and_data
    out, _ = finished
    forward, calls = JointModel.forward, iter(range(9))

    def fails(self, **batch):
        if self.training and next(calls, None) is None:
            monkeypatch.setattr(JointModel, "forward", forward)
            raise Interruption
        return forward(self, **batch)

    monkeypatch.setattr(JointModel, "forward", fails)
    with pytest.raises(Interruption):
        run(recipe, data, tmp_path)
    run(recipe, data, tmp_path)
    cut, whole = ({stage.name: stage for stage in read_stages(folder)} for folder in (tmp_path, out))
    assert cut["joint"].kept_step == whole["joint"].kept_step
    assert [line["step"] for line in cut["joint"].log] == [line["step"] for line in whole["joint"].log]
    assert cut["joint"].points("eval_loss")[1] == pytest.approx(whole["joint"].points("eval_loss")[1], rel=1e-2)


def test_examples_are_taken_evenly():
    assert spread(range(10), 10) == range(10)
    assert list(spread(range(10), 5)) == [0, 2, 4, 6, 8]
    assert list(spread(range(11), 5)) == [0, 3, 6, 9]
    assert list(spread([], 5)) == []
