"""Copies, deep copies and pickles of everything that holds an index or a model: whole, or refused."""

import copy
import multiprocessing
import pickle

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.vector_stores.types import VectorStoreQuery

from fgr_retriever import Encoder, Engine, Passage, Pipeline, SearchConfig, TrimConfig, Trimmer
from fgr_retriever.config import Calibration
from fgr_retriever.errors import CheckpointError, InputError, ModelMismatchError
from fgr_retriever.search.stages.late import Late
from fgr_retriever.testing import WordEncoder, tiny_checkpoint
from langchain_fgr import FGRCompressor, FGRRetriever
from langchain_fgr import FGRVectorStore as LangChainStore
from llama_index.postprocessor.fgr import FGRPostprocessor
from llama_index.retrievers.fgr import FGRRetriever as LlamaIndexRetriever
from llama_index.vector_stores.fgr import FGRVectorStore as LlamaIndexStore

TEXT = "Marie Curie found radium. Snow fell on the roofs."
QUERY = "who found radium"


def count(text):
    return len(text.split())


def pickled(value):
    return pickle.loads(pickle.dumps(value))


def model_copied(value):
    return value.model_copy(deep=True)


@pytest.fixture
def engine(tmp_path):
    with Engine.open(tmp_path / "index", encoder=WordEncoder()) as engine:
        engine.add([Passage("curie", TEXT)])
        yield engine


# What each class answers, in one form.
OWNERS = {
    "langchain": (
        lambda engine: FGRRetriever(engine=engine, k=3, count_tokens=count),
        lambda one: [found.page_content for found in one.invoke(QUERY)],
    ),
    "langchain-store": (
        LangChainStore,
        lambda one: [found.page_content for found in one.similarity_search(QUERY)],
    ),
    "langchain-store-retriever": (
        lambda engine: LangChainStore(engine).as_retriever(),
        lambda one: [found.page_content for found in one.invoke(QUERY)],
    ),
    "llama-index": (
        lambda engine: LlamaIndexRetriever(engine, similarity_top_k=3, count_tokens=count),
        lambda one: [found.text for found in one.retrieve(QUERY)],
    ),
    "llama-index-store": (
        LlamaIndexStore,
        lambda one: [found.text for found in one.query(VectorStoreQuery(query_str=QUERY)).nodes],
    ),
}
COPIES = {"deepcopy": copy.deepcopy, "pickle": pickled, "model_copy": model_copied}


def engine_of(owner):
    return owner.vectorstore.engine if hasattr(owner, "vectorstore") else owner.engine


def kinds_of_copies(owner):
    return [how for how in COPIES.values() if how is not model_copied or hasattr(owner, "model_copy")]


@pytest.mark.parametrize("kind", OWNERS)
def test_a_deep_copy_opens_the_index_once_more(kind, engine):
    make, answer = OWNERS[kind]
    original = make(engine)
    expected = answer(original)
    assert expected
    for how in kinds_of_copies(original):
        other = how(original)
        theirs = engine_of(other)
        assert type(other) is type(original)
        assert theirs is not engine
        assert answer(other) == expected
        theirs.add([Passage("new", "Somebody found radium again.")])  # no lock is held twice
        engine.delete(["new"])
        theirs.close()
        assert answer(original) == expected  # what one closes, the other keeps open
    engine.add([Passage("snow", "Snow.")])
    assert engine.ids() == ["curie", "snow"]


@pytest.mark.parametrize("kind", OWNERS)
def test_what_lies_in_a_temporary_folder_is_refused(kind):
    make, answer = OWNERS[kind]
    source = FGRRetriever.from_texts([TEXT], encoder=WordEncoder(), count_tokens=count)
    owner = make(source.engine)
    for how in (*kinds_of_copies(owner), lambda one: copy.copy(engine_of(one))):
        with pytest.raises(InputError, match=r"deleted with this engine.*`path`"):
            how(owner)
    assert answer(owner)
    assert copy.copy(owner) is not owner  # a shallow copy shares the engine
    assert engine_of(copy.copy(owner)) is source.engine


@pytest.mark.folders
def test_an_engine_is_copied_with_its_settings(tmp_path):
    pipeline = Pipeline(stages=(Late(count=7),))
    options = {"search": SearchConfig.preset("exact"), "pipeline": pipeline}
    with Engine.open(tmp_path / "index", encoder=WordEncoder(), **options) as engine:
        engine.add([Passage("curie", TEXT)])
        engine._index.calibrate(Calibration(threshold=0.25))
        for how in (copy.copy, copy.deepcopy, pickled):
            with how(engine) as other:
                assert (other.folder, other.pipeline, other._search_config) == (
                    engine.folder,
                    pipeline,
                    options["search"],
                )
                assert other.calibration == Calibration(threshold=0.25)
                assert other.retrieve(QUERY, trim=TrimConfig(max_tokens=4), count_tokens=count).text
            assert engine.search(QUERY)


def test_a_pickle_knows_its_folder_from_everywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_checkpoint("model")
    with Engine.open("index", model="model") as engine:
        engine.add([Passage("curie", TEXT)])
        data = pickle.dumps(engine)
    assert len(data) < 2_000  # no weights
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pickle.loads(data) as other:
        assert other.search(QUERY)[0].passage.text == TEXT


def _search_elsewhere(retriever):
    return [document.page_content for document in retriever.invoke(QUERY)]


@pytest.mark.folders
def test_another_process_gets_a_retriever(engine):
    retriever = FGRRetriever(engine=engine, count_tokens=count)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_search_elsewhere, (retriever,)) == _search_elsewhere(retriever)


@pytest.mark.folders
def test_a_folder_that_is_gone_is_an_error(engine, tmp_path):
    data = pickle.dumps(engine)
    engine.close()
    (tmp_path / "index").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match="index"):
        pickle.loads(data)
    assert not (tmp_path / "index").exists()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("model"))


def test_copies_of_a_model_are_the_model_and_a_pickle_opens_it_again(checkpoint):
    encoder = Encoder.from_pretrained(checkpoint).calibrated(Calibration(threshold=0.125))
    assert copy.copy(encoder) is copy.deepcopy(encoder) is encoder
    data = pickle.dumps(encoder)
    assert len(data) < 2_000
    other = pickle.loads(data)
    assert other is not encoder
    assert (other.fingerprint, other.calibration) == (encoder.fingerprint, encoder.calibration)
    assert (other.device, other.dtype, other.name) == (encoder.device, encoder.dtype, encoder.name)
    assert other.encode_queries([QUERY])[0].equal(encoder.encode_queries([QUERY])[0])
    assert pickled(other).calibration == encoder.calibration  # and again


def test_calibrating_leaves_the_model_as_it_is(checkpoint):
    encoder = Encoder.from_pretrained(checkpoint)
    before = encoder.calibration
    assert encoder.calibrated(Calibration(threshold=0.125)) is not encoder
    assert encoder.calibration == before


@pytest.mark.golden
def test_the_embedded_model_is_pickled_by_name():
    data = pickle.dumps(Encoder.default())
    assert len(data) < 1_000
    assert pickle.loads(data).fingerprint == Encoder.default().fingerprint


def test_a_model_that_is_not_the_same_any_more_is_refused(tmp_path):
    tiny_checkpoint(tmp_path / "model")
    data = pickle.dumps(Encoder.from_pretrained(tmp_path / "model"))
    tiny_checkpoint(tmp_path / "model", head=False)
    for file in (tmp_path / "model" / "evidence").iterdir():
        file.unlink()
    with pytest.raises(ModelMismatchError, match="has changed"):
        pickle.loads(data)
    (tmp_path / "model").rename(tmp_path / "moved")
    with pytest.raises(CheckpointError):
        pickle.loads(data)


def test_a_model_without_a_folder_is_refused_by_a_pickle(checkpoint):
    made = Encoder(_opened(checkpoint))
    with pytest.raises(InputError, match=r"made in this process.*Encoder\.from_pretrained"):
        pickle.dumps(made)
    assert copy.deepcopy(made) is made


def _opened(folder):
    from fgr_retriever.model.checkpoint import open_checkpoint

    return open_checkpoint(folder)


class Unpicklable(WordEncoder):
    """An encoder of somebody else."""

    def __reduce__(self):
        raise TypeError("cannot be pickled")


TRIMMERS = {
    "trimmer": (lambda encoder: Trimmer(encoder), lambda one: [found.text for found in one.trim(QUERY, [TEXT])]),
    "compressor": (
        lambda encoder: FGRCompressor(encoder=encoder, top_n=1),
        lambda one: [found.page_content for found in one.compress_documents([Document(TEXT)], QUERY)],
    ),
    "postprocessor": (
        lambda encoder: FGRPostprocessor(encoder=encoder, top_n=1),
        lambda one: [
            found.text for found in one.postprocess_nodes([NodeWithScore(node=TextNode(text=TEXT))], query_str=QUERY)
        ],
    ),
}


@pytest.mark.parametrize("kind", TRIMMERS)
def test_what_trims_is_copied_whole_or_not_at_all(kind, checkpoint):
    make, answer = TRIMMERS[kind]
    for encoder in (WordEncoder(), Encoder.from_pretrained(checkpoint)):
        original = make(encoder)
        expected = answer(original)
        for how in (copy.copy, *kinds_of_copies(original)):
            assert answer(how(original)) == expected
    with pytest.raises(TypeError, match="cannot be pickled"):  # LlamaIndex alone would leave the model out
        pickle.dumps(make(Unpicklable()))


@pytest.mark.parametrize("kind", [FGRCompressor, FGRPostprocessor])
def test_a_model_with_a_name_is_pickled_by_its_name(kind, checkpoint):
    data = pickle.dumps(kind(model=checkpoint))
    assert len(data) < 4_000
    assert pickle.loads(data)._trimmer()._encoder.fingerprint == Encoder.from_pretrained(checkpoint).fingerprint
