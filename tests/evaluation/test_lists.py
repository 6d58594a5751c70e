"""Result lists: what is kept by grade, and under budgets for a whole list."""

import json

import pytest

from fgr_retriever.cli import main
from fgr_retriever.errors import InputError
from fgr_retriever.evaluation import evaluate_lists, read_lists
from fgr_retriever.testing import tiny_checkpoint

ANSWER, NOISE = "Curie found radium in Paris.", "Bread is old. Rye is older."
LIST = {
    "id": "a",
    "query": "who found radium",
    "passages": [
        {"id": "1", "passage": NOISE, "grade": 0, "spans": []},
        {"id": "2", "passage": ANSWER, "grade": 3, "spans": [[0, len(ANSWER)]]},
    ],
}


def count_words(text):
    return len(text.split())


def lists(tmp_path, *records):
    path = tmp_path / "lists.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    return path


def changed(**changes):
    """The list with a change to its second passage."""
    first, second = LIST["passages"]
    return {**LIST, "passages": [first, {**second, **changes}]}


def test_figures_worked_out_by_hand(word_encoder, tmp_path):
    found = evaluate_lists(word_encoder, read_lists(lists(tmp_path, LIST)), count_words)
    assert (found.n, found.passages) == (1, (1, 0, 0, 1))
    # "found radium" matches; its phrase is the whole sentence: 5 of 5 words. In the rest nothing does.
    assert found.f1 == 1.0
    assert found.kept == (0.0, None, None, 1.0)
    # Ten words in all: 5 % are none, 10 % one word of the answer, 20 % two, 30 % three: of its five.
    assert [one.budget for one in found.budgets] == [0.05, 0.1, 0.2, 0.3]
    assert [one.evidence_recall for one in found.budgets] == pytest.approx([0.0, 0.2, 0.4, 0.6])
    assert [one.grade_0 for one in found.budgets][1:] == [0.0, 0.0, 0.0]


def test_what_is_kept_of_noise_counts_against_it(word_encoder, tmp_path):
    noisy = {**LIST, "passages": [{**one, "grade": 0} for one in LIST["passages"]]}
    found = evaluate_lists(word_encoder, read_lists(lists(tmp_path, noisy)), count_words)
    assert found.f1 is None
    assert found.kept == (0.5, None, None, None)
    assert found.budgets[-1].grade_0 == 1.0


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"query": 1, "passages": LIST["passages"]}, "'query' must be a string"),
        ({"query": "q", "passages": []}, "a list that is not empty"),
        ({"query": "q", "passages": ["text"]}, "passage 1: must be an object"),
        (changed(grade=4), "passage 2: 'grade' must be an integer from 0 to 3, got 4"),
        (changed(grade=True), "got True"),
        (changed(spans=[[0, 99]]), r"passage 2: 'spans': \[0, 99\] is not"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, record, message):
    with pytest.raises(InputError, match=message):
        list(read_lists(lists(tmp_path, record)))


def test_no_list_is_an_error(word_encoder):
    with pytest.raises(InputError, match="no lists"):
        evaluate_lists(word_encoder, [], count_words)


def test_eval_lists_is_a_command(tmp_path, capsys):
    model = str(tiny_checkpoint(tmp_path / "model"))
    command = ["eval", "lists", str(lists(tmp_path, LIST, LIST)), "--model", model, "--tokenizer", model]
    assert main([*command, "--limit", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["n", "passages", "f1", "kept", "budgets"]
    assert found["n"] == 1
    assert main(command) == 0
    assert "budget 30%" in capsys.readouterr().out
