"""A stage of training, and what a run leaves behind: early stopping, resuming, curves and the model card."""

import pytest
import torch
from torch import nn
from transformers import TrainerState

from fgr_retriever.training import stage as stage_module
from fgr_retriever.training.stage import Stage, run_stage


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


def log_of(out):
    """Read the log of the last checkpoint."""
    last = stage_module._last_checkpoint(out)
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
