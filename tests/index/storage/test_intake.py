"""Adding what is stored already: nothing is encoded twice, and nothing is forgotten."""

import copy
import logging
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgr_retriever import Engine, IndexConfig, Passage
from fgr_retriever.errors import InputError
from fgr_retriever.index.index import Index
from fgr_retriever.index.storage.creation import create_store
from fgr_retriever.index.storage.manifest import Manifest
from fgr_retriever.testing import WordEncoder
from fgr_retriever.types import Added
from tests.index.processes import run_python

WORDY = IndexConfig(words="plain")
TEXTS = {"kiln": "The kiln is fired with wood.", "clay": "Clay shrinks.", "glaze": "Glaze runs. It is glass."}


class CountingEncoder(WordEncoder):
    """Keeps the texts of passages that it encoded."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def encode_passages(self, texts, **options):
        def noted():
            for text in texts:
                self.seen.append(text)
                yield text

        return super().encode_passages(noted(), **options)


@pytest.fixture
def encoder():
    return CountingEncoder()


@pytest.fixture
def engine(tmp_path, encoder):
    with Engine.open(tmp_path / "index", encoder=encoder, config=WORDY) as engine:
        engine.add(Passage(id, text, {"day": 1}) for id, text in TEXTS.items())
        encoder.seen.clear()
        yield engine


def counts(added):
    return added.added, added.updated, added.unchanged


def stored(engine):
    """Everything that is kept of each passage, with its row."""
    with engine._index.reading() as (snapshot, connection):
        columns = connection.execute("SELECT id, row, text, units FROM passages ORDER BY id").fetchall()
        places = {int(row): place for place, row in enumerate(snapshot.rows)}
        code = engine._encoder.evidence_code.fingerprint
        tokens = snapshot.tokens_at(np.array([places[row] for _, row, *_ in columns]), code)
        return [
            (*column, one.vectors.tobytes(), one.offsets.tobytes(), one.evidence.tobytes())
            for column, one in zip(columns, tokens, strict=True)
        ]


def test_what_is_stored_is_not_encoded_again(engine, encoder):
    before = stored(engine)
    found = engine.add(Passage(id, text, {"day": 1}) for id, text in TEXTS.items())
    assert (found, counts(found), encoder.seen) == (3, (0, 0, 3), [])
    assert stored(engine) == before
    assert engine.last_added is found


def test_each_passage_costs_what_changed_of_it(engine, encoder):
    found = engine.add(
        [
            Passage("clay", TEXTS["clay"], {"day": 2, "title": "On clay"}),
            Passage("wheel", "The wheel turns."),
            Passage("kiln", "The kiln is fired with gas.", {"day": 2}),
            Passage("glaze", TEXTS["glaze"], {"day": 1}),
        ]
    )
    assert (int(found), counts(found)) == (4, (1, 2, 1))
    assert encoder.seen == ["The wheel turns.", "The kiln is fired with gas."]
    assert engine.get(["clay"]) == [Passage("clay", TEXTS["clay"], {"day": 2, "title": "On clay"})]
    assert {hit.passage.id for hit in engine.search("kiln", k=9, filter={"day": 2})} == {"clay", "kiln"}
    assert [id for id, _ in engine._index.words("gas", 9)] == ["kiln"]
    assert engine._index.words("wood", 9) == []
    engine.verify()


def test_new_metadata_leave_row_words_units_and_codes_alone(engine):
    before, words = stored(engine), engine._index.words("clay kiln", 9)
    engine.add(Passage(id, text, {"day": "two", "size": len(text)}) for id, text in TEXTS.items())
    assert stored(engine) == before
    assert engine._index.words("clay kiln", 9) == words
    assert [one.metadata["day"] for one in engine.get(TEXTS)] == ["two"] * 3
    engine.verify()
    engine.compact()
    engine.verify()


@pytest.mark.parametrize("again", [{"day": 1}, {"day": 2}, {"day": 3}], ids=["unchanged", "as before it", "another"])
@pytest.mark.parametrize("first", [{"day": 1}, {"day": 2}], ids=["unchanged", "new metadata"])
def test_an_id_that_comes_twice_is_refused_also_if_it_is_stored(engine, first, again):
    with pytest.raises(InputError, match="'clay' comes twice"):
        engine.add([Passage("clay", TEXTS["clay"], first), Passage("clay", TEXTS["clay"], again)])
    assert engine.get(["clay"]) == [Passage("clay", TEXTS["clay"], {"day": 1})]
    engine.verify()


def test_an_id_that_changes_and_then_comes_as_it_was_is_refused(engine):
    with pytest.raises(InputError, match="'clay' comes twice"):
        engine.add([Passage("clay", "New."), Passage("clay", TEXTS["clay"], {"day": 1})])
    assert engine.get(["clay"]) == [Passage("clay", TEXTS["clay"], {"day": 1})]


def test_one_transaction(engine):
    def broken():
        yield Passage("clay", TEXTS["clay"], {"day": 2})
        yield Passage("new", "New.")
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        engine.add(broken())
    assert engine.get(["clay", "new"]) == [Passage("clay", TEXTS["clay"], {"day": 1})]
    assert counts(engine.last_added) == (3, 0, 0)


def test_a_writer_that_dies_leaves_the_metadata_as_they_were(engine, tmp_path):
    engine.close()
    code = """
        import os
        from fgr_retriever import Engine, Passage
        from fgr_retriever.testing import WordEncoder

        def passages():
            yield Passage("clay", "Clay shrinks.", {"day": 2})
            yield from (Passage(f"new-{number}", "clay kiln wood") for number in range(500))
            os._exit(9)

        Engine.open(folder, encoder=WordEncoder()).add(passages())
    """
    assert run_python(code, tmp_path / "index") == (9, "")
    with Engine.open(tmp_path / "index", encoder=WordEncoder()) as again:
        assert again.get(["clay"]) == [Passage("clay", TEXTS["clay"], {"day": 1})]
        assert counts(again.add([Passage("clay", TEXTS["clay"], {"day": 2})])) == (0, 1, 0)
        again.verify()


def test_what_was_deleted_is_new_again(engine, encoder):
    engine.delete(["clay"])
    assert counts(engine.add([Passage("clay", TEXTS["clay"])])) == (1, 0, 0)
    assert encoder.seen == [TEXTS["clay"]]


@pytest.mark.parametrize("column", ["text", "metadata", "units"])
def test_a_damaged_row_is_not_taken_for_the_passage(engine, encoder, column):
    with engine._index._store._database.writing() as connection:
        connection.execute(f"UPDATE passages SET {column} = substr({column}, 2) WHERE id = 'glaze'")
    assert counts(engine.add([Passage("glaze", TEXTS["glaze"], {"day": 1})])) == (0, 1, 0)
    assert encoder.seen == [TEXTS["glaze"]]
    assert engine.get(["glaze"]) == [Passage("glaze", TEXTS["glaze"], {"day": 1})]


def test_an_index_without_units_stays_so(tmp_path, encoder):
    create_store(tmp_path / "old", Manifest(encoder.fingerprint, encoder.dim, WORDY, format_version=2))
    index = Index.open(tmp_path / "old", encoder)
    index.add(Passage(id, text) for id, text in TEXTS.items())
    found = index.add(Passage(id, text, {"n": len(id)} if id == "clay" else {}) for id, text in TEXTS.items())
    assert counts(found) == (0, 1, 2)
    index.verify()
    index.upgrade()
    index.verify()
    assert counts(index.add([Passage("clay", TEXTS["clay"], {"n": 4})])) == (0, 0, 1)
    index.verify()


days = st.dictionaries(st.sampled_from("abcd"), st.tuples(st.sampled_from(["", "clay", "kiln clay"]), st.booleans()))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(days, st.lists(st.sampled_from("abcd"))), max_size=4))
def test_adding_all_every_day_gives_what_a_fresh_index_has(tmp_path_factory, history):
    folder, live, order = tmp_path_factory.mktemp("index"), {}, []
    with Engine.open(folder / "daily", encoder=WordEncoder(), config=WORDY) as engine:
        for day, gone in history:
            new, same = day.keys() - live.keys(), [id for id in day if live.get(id) == day[id]]
            found = engine.add(Passage(id, text, {"flag": flag}) for id, (text, flag) in day.items())
            assert counts(found) == (len(new), len(day) - len(new) - len(same), len(same))
            order = [id for id in order if id not in day or live[id][0] == day[id][0]]
            order += [id for id in day if id not in order]
            live |= day
            engine.delete(gone)
            live = {id: one for id, one in live.items() if id not in gone}
            order = [id for id in order if id in live]
        engine.verify()
        with Engine.open(folder / "fresh", encoder=WordEncoder(), config=WORDY) as fresh:
            fresh.add(Passage(id, live[id][0], {"flag": live[id][1]}) for id in order)
            assert engine.get([*"abcd"]) == fresh.get([*"abcd"])
            assert [id for id, _ in engine.rank("clay kiln")] == [id for id, _ in fresh.rank("clay kiln")]
            assert engine._index.words("clay kiln", 9) == fresh._index.words("clay kiln", 9)


def test_the_report_is_a_number_that_can_be_copied(engine, caplog):
    with caplog.at_level(logging.INFO, logger="fgr_retriever.index.upkeep"):
        found = engine.add([Passage("new", "New."), Passage("clay", TEXTS["clay"], {"day": 1})])
    assert "1 added, 0 updated, 1 unchanged, 0 deleted" in caplog.text
    for one in (copy.deepcopy(found), copy.copy(found), pickle.loads(pickle.dumps(found))):
        assert (one, counts(one)) == (2, (1, 0, 1))
    assert (f"{found}", str(found), repr(found)) == ("2", "2", "Added(added=1, updated=0, unchanged=1, deleted=0)")
    assert found == Added(1, 0, 1)


def test_replacing_all_makes_the_index_exactly_what_is_given(engine, encoder):
    given = [Passage("glaze", TEXTS["glaze"], {"day": 1}), Passage("new", "New.")]
    found = engine.add(given, replacing=engine.ids())
    assert (*counts(found), found.deleted) == (1, 0, 1, 2)
    assert encoder.seen == ["New."]
    assert engine.ids() == ["glaze", "new"]
    engine.verify()
    with pytest.raises(InputError, match="comes twice"):
        engine.add([Passage("x", "X."), Passage("x", "X.")], replacing=["glaze"])
    assert engine.ids() == ["glaze", "new"]
    assert engine.add([Passage("x", "X.")], replacing=["unknown", "x", "glaze"]).deleted == 1
    assert engine.ids() == ["new", "x"]
    with pytest.raises(InputError, match="iterable of strings"):
        engine.add([], replacing="glaze")


@pytest.mark.parametrize("nothing", [(), iter(())], ids=["a list", "a generator"])
def test_nothing_does_not_take_the_place_of_all(engine, nothing):
    with pytest.raises(InputError, match=r"nothing to add, and all 3 stored .* see why .* delete\(engine.ids\(\)\)"):
        engine.add(nothing, replacing=[*engine.ids(), "unknown"])
    assert engine.ids() == ["kiln", "clay", "glaze"]
    engine.verify()
    assert engine.add((), replacing=["kiln", "clay"]).deleted == 2  # not all
    engine.delete(engine.ids())
    assert engine.add((), replacing=["kiln"]) == 0  # nothing is lost


def test_ids_of_what_a_filter_lets_through(engine):
    engine.add([Passage("new", "New.", {"day": 2})])
    assert engine.ids() == ["kiln", "clay", "glaze", "new"]
    assert engine.ids({"day": 1}) == ["kiln", "clay", "glaze"]
