"""The joint stage's teacher and its frozen layers."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from fgr_retriever.errors import ConfigError
from fgr_retriever.model.evidence_head import EvidenceConfig, EvidenceHead
from fgr_retriever.model.windows import Windows
from fgr_retriever.testing import tiny_bert
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.data import Labelled, TokenLabels, collate
from fgr_retriever.training.joint import JointModel, Untrained, foreign_queries, teacher_scores
from fgr_retriever.training.start import start_model

TEXTS = ["marie curie found radium", "fleming found mould in a dish", "cats sleep"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny_bert(folder)
    return TrainingConfig(
        base=str(folder), spans=("-",), dim=16, head_width=8, reader_layers=1, reader_width=8, frozen_layers=0
    )


def joint_model(recipe):
    head = EvidenceHead(
        EvidenceConfig(dim=recipe.dim, width=recipe.head_width, reader_layers=1, reader_width=recipe.reader_width)
    )
    return JointModel(start_model(recipe, TEXTS), head, recipe)


def batch(model):
    windows = Windows(model.encoder.tokenizer, "", 32)
    examples = [Labelled(text.split()[0], text, ((0, 5, 1.0),)) for text in TEXTS]
    rows = TokenLabels(examples, windows, windows)
    return collate([rows[place] for place in range(len(rows))])


def test_what_has_not_moved_is_not_held(recipe):
    torch.manual_seed(0)
    model = joint_model(recipe)
    model.eval()  # no dropout
    with torch.no_grad():
        found = model(**batch(model))
    assert found["hold"].abs() < 1e-5
    # The teacher ranks by full-width vectors and pooled ones, so even the untrained model can learn from it.
    assert found["ranking"] > 0


def test_teacher_scores_of_a_worked_example():
    queries = Untrained(
        projected=torch.zeros(1, 2, 1), full=torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), pooled=torch.tensor([[0.6, 0.8]])
    )
    passages = Untrained(
        projected=torch.zeros(2, 2, 1),
        full=torch.tensor([[[1.0, 0.0], [0.6, 0.8]], [[-1.0, 0.0], [9.0, 9.0]]]),
        pooled=torch.tensor([[1.0, 0.0], [0.0, -1.0]]),
    )
    kept = torch.tensor([[True, True], [True, False]])
    found = teacher_scores(queries, torch.tensor([[True, True]]), passages, kept)
    # MaxSim: 1 + 0.8, and -1 + 0. A quarter of the cosine for each of two query tokens: 0.6 / 2, and -0.8 / 2.
    torch.testing.assert_close(found, torch.tensor([[1.8 + 0.3, -1.0 - 0.4]]))


def test_untrained_vectors_are_those_of_the_start(recipe):
    model = joint_model(recipe)
    model.eval()
    found = batch(model)
    with torch.no_grad():
        old = Untrained.of(model.encoder, found["passage_ids"], found["passage_mask"])
    assert old.full.shape[-1] > old.projected.shape[-1] == recipe.dim
    real = found["passage_mask"].bool()
    torch.testing.assert_close(old.full[real].norm(dim=-1), torch.ones(int(real.sum())))
    # The pooled vector of the last, shortest text ignores padding.
    hidden = model.encoder[0](
        {"input_ids": found["passage_ids"], "attention_mask": found["passage_mask"], "modality": "text"}
    )["token_embeddings"]
    torch.testing.assert_close(old.pooled[-1], normalize(hidden[-1][real[-1]].mean(dim=0), dim=0))


def test_frozen_layers_get_no_gradient(recipe):
    frozen = joint_model(replace(recipe, frozen_layers=1))
    frozen(**batch(frozen))["loss"].backward()
    moved = {name for name, value in frozen.encoder.named_parameters() if value.grad is not None}
    assert moved
    assert not any("model." in name for name in moved)  # tiny_bert has one layer: only the projection is left
    free = joint_model(recipe)
    free(**batch(free))["loss"].backward()
    assert any("layer.0" in name for name, value in free.encoder.named_parameters() if value.grad is not None)


def test_more_frozen_layers_than_there_are_is_refused(recipe):
    with pytest.raises(ConfigError, match="frozen_layers=2: the base model has 1 layers"):
        joint_model(replace(recipe, frozen_layers=2))


def test_the_foreign_question_is_the_nearest_that_is_clearly_another_one():
    # Own scores on the diagonal. Passage 0 scores 70 % of what question 1 finds in its own passage and 50 % of
    # question 2's; passage 1 scores 90 % of question 0's, too near, and 30 % of question 2's; passage 2 is too
    # near to both.
    scores = torch.tensor([[10.0, 9.0, 8.5], [7.0, 10.0, 9.5], [5.0, 3.0, 10.0]])
    asked, foreign = foreign_queries(scores)
    assert asked[:2].tolist() == [1, 2]
    assert foreign.tolist() == [True, True, False]


def test_a_batch_without_foreign_questions_has_no_such_loss(recipe):
    model = joint_model(recipe)
    same = {name: value[:1].expand(3, *value.shape[1:]) for name, value in batch(model).items()}
    found = model(**same)
    assert found["irrelevant"] == 0
    assert torch.isfinite(found["loss"])
