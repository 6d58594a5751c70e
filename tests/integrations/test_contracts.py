"""What every adapter class promises about its arguments: their names, the model by name, the progress bar."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

pytest.importorskip("langchain_core")
pytest.importorskip("llama_index.core")

from langchain_core.documents import Document
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import Document as Whole
from llama_index.core.schema import NodeWithScore, TextNode

import langchain_fgr
import llama_index.postprocessor.fgr
import llama_index.retrievers.fgr
import llama_index.tools.fgr
import llama_index.vector_stores.fgr
from fgr_retriever import Encoder, Engine, IndexConfig, Passage, SearchConfig, TrimConfig, Trimmer
from fgr_retriever.adapters import OpenOptions
from fgr_retriever.errors import CheckpointError, ConfigError, InputError, ModelMismatchError
from fgr_retriever.testing import tiny_checkpoint
from langchain_fgr.options import RetrieverFields
from llama_index.retrievers.fgr.options import BaseSettings, RetrieverSettings

ROOT = Path(__file__).parents[2]
PACKAGES = (
    langchain_fgr,
    llama_index.retrievers.fgr,
    llama_index.postprocessor.fgr,
    llama_index.vector_stores.fgr,
    llama_index.tools.fgr,
)
OPEN = {"encoder", "model", "config", "search", "pipeline"}
LC, LI = langchain_fgr.FGRRetriever, llama_index.retrievers.fgr.FGRRetriever
LC_STORE, LI_STORE = langchain_fgr.FGRVectorStore, llama_index.vector_stores.fgr.FGRVectorStore
COMPRESSOR, POSTPROCESSOR = langchain_fgr.FGRCompressor, llama_index.postprocessor.fgr.FGRPostprocessor
LC_FIELDS = {"k", "filter", "trim", "max_tokens", "count_tokens", "full_text", "search_kwargs", "tags", "metadata"}
LI_FIELDS = {"similarity_top_k", "filters", "trim", "max_tokens", "count_tokens", "full_text", "split_spans"}
TRIMS = {"trim", "max_tokens", "top_n", "encoder", "model", "count_tokens"}
ADDS = {"path", "show_progress"}
# Everything that makes an object of ours, and the names that it must show.
MAKERS = {
    LC: {"engine"} | LC_FIELDS,
    LC.from_documents: ADDS | OPEN | LC_FIELDS,
    LC.from_texts: {"metadatas", "ids"} | ADDS | OPEN | LC_FIELDS,
    LC.from_index: OPEN | LC_FIELDS,
    LC_STORE: {"engine"},
    LC_STORE.from_texts: {"metadatas", "ids"} | ADDS | OPEN,
    LC_STORE.from_documents: {"ids"} | ADDS | OPEN,
    LC_STORE.from_index: OPEN,
    LC_STORE.afrom_texts: {"metadatas", "ids"} | ADDS | OPEN,
    LC_STORE.afrom_documents: {"ids"} | ADDS | OPEN,
    LC_STORE.as_retriever: {"search_type", "search_kwargs", "tags"},
    COMPRESSOR: TRIMS,
    langchain_fgr.evidence_tool: {"k", "filter", "trim", "count_tokens"},
    LI: {"engine", "callback_manager", "objects", "verbose"} | LI_FIELDS,
    LI.from_nodes: ADDS | OPEN | LI_FIELDS,
    LI.from_documents: {"transformations"} | ADDS | OPEN | LI_FIELDS,
    LI.from_defaults: {"index", "nodes", "docstore"} | ADDS | OPEN | LI_FIELDS,
    LI.from_persist_dir: OPEN | LI_FIELDS,
    LI_STORE: {"engine"},
    LI_STORE.from_path: OPEN,
    POSTPROCESSOR: TRIMS | {"split_spans"},
    llama_index.tools.fgr.evidence_tool: {"k", "filters", "trim", "count_tokens"},
}
NOT_MADE_BY_USERS = {llama_index.tools.fgr.EvidenceTool, llama_index.postprocessor.fgr.TrustReportEvent}
NOT_MADE_BY_USERS |= {langchain_fgr.numbered_sources, llama_index.tools.fgr.numbered_sources}  # read what was found
IDS = [maker.__module__.split(".")[0] + "-" + maker.__qualname__ for maker in MAKERS]


def public_classes():
    return [(package, name) for package in PACKAGES for name in package.__all__]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The folder of another ColBERT checkpoint."""
    return tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def fingerprint(checkpoint):
    """What an index says of the model that made it."""
    return Encoder.from_pretrained(checkpoint).fingerprint


@pytest.mark.parametrize(("maker", "names"), MAKERS.items(), ids=IDS)
def test_a_signature_names_every_argument(maker, names):
    parameters = inspect.signature(maker).parameters
    assert names <= parameters.keys()
    assert not [one.name for one in parameters.values() if one.kind is one.VAR_KEYWORD]


def test_the_list_above_has_everything_that_makes_an_object():
    classes = {getattr(package, name) for package, name in public_classes()} - NOT_MADE_BY_USERS
    assert classes <= MAKERS.keys()
    for kind in filter(inspect.isclass, classes):
        ours = [name for name in vars(kind) if re.match(r"a?from_|as_retriever", name)]
        assert {getattr(kind, name) for name in ours} <= MAKERS.keys(), kind


# The first arguments, which a misspelt name must not hide behind.
FIRST = {"documents": [], "texts": [], "nodes": [], "path": "nowhere", "persist_dir": "nowhere"}


@pytest.mark.parametrize("maker", MAKERS, ids=IDS)
def test_a_misspelt_name_is_refused_with_the_nearest_one(maker, word_encoder, tmp_path):
    parameters = inspect.signature(maker).parameters
    engine = Engine.open(tmp_path / "index", encoder=word_encoder)
    first = {name: value for name, value in FIRST.items() if name in parameters}
    first |= {name: engine for name in ("engine", "source") if name in parameters}
    first |= {"self": LC_STORE(engine)} if "self" in parameters else {}
    first |= {"encoder": word_encoder} if "encoder" in parameters else {}
    wanted = "trim" if "trim" in parameters else "encoder" if "encoder" in parameters else None
    misspelt = {"trim": "trimm", "encoder": "encoderr", None: "zzz"}[wanted]
    unnamed = [first.pop("self")] if "self" in first else []
    with pytest.raises(InputError, match=rf"takes no '{misspelt}'" + (f".*mean '{wanted}'" if wanted else "")):
        maker(*unnamed, **first, **{misspelt: None})
    assert not Path("nowhere").exists()


@pytest.mark.parametrize(
    ("kind", "given", "meant"),
    [
        (LC, "kk", "k"),
        (LC, "top_k", "k"),
        (LC, "similarity_top_k", "k"),
        (LC, "filters", "filter"),
        (LC, "max_token", "max_tokens"),
        (LI, "top_k", "similarity_top_k"),
        (LI, "filter", "filters"),
        (LI, "callbacks", "callback_manager"),
        (COMPRESSOR, "top_k", "top_n"),
        (POSTPROCESSOR, "max_token", "max_tokens"),
    ],
)
def test_the_nearest_name_is_what_people_mean(kind, given, meant, tmp_path, word_encoder):
    first = {"engine": Engine.open(tmp_path, encoder=word_encoder)} if kind in (LC, LI) else {"encoder": word_encoder}
    with pytest.raises(InputError, match=f"{kind.__name__} takes no '{given}': did you mean '{meant}'"):
        kind(**first, **{given: 5})


def test_names_that_have_nothing_in_common_are_not_guessed(word_encoder):
    with pytest.raises(InputError, match=r"takes no 'zzz': It takes .*top_n"):
        COMPRESSOR(encoder=word_encoder, zzz=1)


def test_the_shared_lists_of_names_are_those_of_the_classes():
    assert RetrieverFields.__annotations__.keys() == LC.model_fields.keys() - {"engine"}
    assert RetrieverSettings.__annotations__.keys() == inspect.signature(LI).parameters.keys() - {"engine"}
    assert BaseSettings.__annotations__.keys() <= inspect.signature(BaseRetriever.__init__).parameters.keys() - {"self"}
    for opening in (Engine.open, Engine.aopen):
        assert OpenOptions.__annotations__.keys() == inspect.signature(opening).parameters.keys() - {"path", "create"}


@pytest.mark.folders
def test_the_python_reference_lists_every_public_name():
    listed = re.findall(r"^::: (\S+)$", (ROOT / "docs/reference.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {f"{package.__name__}.{name}" for package, name in public_classes()} <= set(listed)
    for path in listed:  # and nothing that is not there
        module, _, name = path.rpartition(".")
        try:
            importlib.import_module(path)
        except ModuleNotFoundError:
            assert getattr(importlib.import_module(module), name)


def test_what_is_no_engine_is_refused(documents):
    for kind in (LC, LC_STORE, LI, LI_STORE):
        with pytest.raises(InputError, match=r"'index': must be an Engine; Engine\.open"):
            kind(engine="index")
    with pytest.raises(InputError, match=r"by name: .*engine"):
        LC("index")


def test_settings_of_trimming_may_be_a_dict(tmp_path, word_encoder, documents):
    engine = Engine.open(tmp_path, encoder=word_encoder)
    engine_of = {"engine": engine}
    for kind, first in ((LC, engine_of), (LI, engine_of), (COMPRESSOR, {}), (POSTPROCESSOR, {})):
        assert kind(**first, trim={"unit": "sentence"}).trim == TrimConfig(unit="sentence")
        with pytest.raises(ConfigError, match="TrimConfig takes no 'units': did you mean 'unit'"):
            kind(**first, trim={"units": "sentence"})
        with pytest.raises(ConfigError, match="unit='page'"):
            kind(**first, trim={"unit": "page"})
        with pytest.raises(InputError, match="trim=9"):
            kind(**first, trim=9)
    for package in (langchain_fgr, llama_index.tools.fgr):
        assert package.evidence_tool(engine, trim={"unit": "sentence"}, count_tokens=len)
        with pytest.raises(ConfigError, match="units"):
            package.evidence_tool(engine, trim={"units": "sentence"})


def test_a_tool_keeps_the_limit_of_its_retriever(tmp_path, word_encoder, counter, texts):
    engine = Engine.open(tmp_path, encoder=word_encoder)
    engine.add([Passage(name, text) for name, text in texts.items()])
    for kind, package in ((LC, langchain_fgr), (LI, llama_index.tools.fgr)):
        for trim, most in (({"unit": "sentence"}, 9), ({"unit": "sentence", "max_tokens": 30}, 30), (None, 9)):
            tool = package.evidence_tool(kind(engine=engine, max_tokens=9, count_tokens=counter), trim=trim)
            query = {"query": "who found radium"}
            content = tool.invoke(query) if kind is LC else tool(**query).content
            kept = counter(content.partition("\n\nNote:")[0])
            assert 0 < kept <= most
            assert kept > 9 or most == 9
        whole = package.evidence_tool(kind(engine=engine, trim=None, count_tokens=counter), trim={"unit": "sentence"})
        assert whole


def test_a_retriever_takes_a_budget_by_itself(tmp_path, word_encoder, counter, texts):
    made = {"encoder": word_encoder, "count_tokens": counter, "max_tokens": 4}
    found = LC.from_texts(texts.values(), **made).invoke("who found radium")
    assert 0 < counter(" ".join(one.page_content for one in found)) <= 4
    nodes = LI.from_nodes([TextNode(text=text) for text in texts.values()], **made).retrieve("who found radium")
    assert [one.text for one in nodes] == [one.page_content for one in found]
    for kind in (LC, LI):
        with pytest.raises(ConfigError, match="trim=None"):
            kind(engine=Engine.open(tmp_path, encoder=word_encoder), trim=None, max_tokens=4)


def texts_of(results):
    return [getattr(one, "page_content", None) or one.text for one in results]


def test_a_model_has_a_name_everywhere(checkpoint, fingerprint, tmp_path, counter):
    options = {"model": str(checkpoint), "count_tokens": counter}
    lc = LC.from_texts(["radium", "snow"], path=tmp_path / "index", **options)
    assert lc.engine.info().model == fingerprint
    expected = texts_of(lc.invoke("radium"))
    lc.engine.close()
    assert texts_of(LC.from_index(tmp_path / "index", **options).invoke("radium")) == expected
    li = LI.from_persist_dir(tmp_path / "index", model=checkpoint, count_tokens=counter)  # a Path, too
    assert texts_of(li.retrieve("radium")) == expected
    stores = LC_STORE.from_texts(["radium"], model=checkpoint), LI_STORE.from_path(tmp_path / "s", model=checkpoint)
    assert {store.engine.info().model for store in stores} == {fingerprint}
    with Engine.open(tmp_path / "index", model=checkpoint) as engine:
        assert len(engine) == 2
    with pytest.raises(ModelMismatchError, match=rf"fingerprint {fingerprint[:12]} .*not with the embedded model"):
        Engine.open(tmp_path / "index")


def test_a_mismatch_names_both_models_and_the_remedy(checkpoint, fingerprint, tmp_path):
    Engine.open(tmp_path / "index").close()
    with pytest.raises(ModelMismatchError) as raised:
        LI_STORE.from_path(tmp_path / "index", model=checkpoint)
    message = str(raised.value)
    expected = (
        f"built with the embedded model (dim 128), not with the model '{checkpoint}' (fingerprint {fingerprint[:12]})"
    )
    assert expected in message
    assert "leave out model and encoder" in message
    assert not re.search("[0-9a-f]{13}", message.replace(str(checkpoint), "").replace(str(tmp_path), ""))


@pytest.mark.folders
def test_a_persisted_retriever_remembers_its_model(checkpoint, fingerprint, tmp_path):
    nodes = [TextNode(text="radium", id_="a")]
    LI.from_nodes(nodes, model=checkpoint).persist(tmp_path / "saved")
    again = LI.from_persist_dir(tmp_path / "saved")
    assert again.engine.info().model == fingerprint
    assert again.engine.model == str(checkpoint.resolve())
    again.engine.close()
    LI.from_persist_dir(tmp_path / "saved", encoder=Encoder.from_pretrained(checkpoint)).engine.close()
    embedded = LI.from_nodes(nodes)
    embedded.persist(tmp_path / "embedded")
    assert (embedded.engine.model, LI.from_persist_dir(tmp_path / "embedded").engine.model) == (None, None)


def test_what_trims_takes_a_model_by_name_and_keeps_the_name(checkpoint, counter):
    document = Document("radium glows in the dark. snow fell.")
    by_name = COMPRESSOR(model=checkpoint, count_tokens=counter)
    (expected,) = by_name.compress_documents([document], "radium")
    assert by_name._trimmer()._encoder is by_name._trimmer()._encoder  # opened once
    again = COMPRESSOR.model_validate_json(by_name.model_dump_json())
    assert again.compress_documents([document], "radium") == [expected]
    node = NodeWithScore(node=TextNode(text=document.page_content))
    postprocessor = POSTPROCESSOR.from_json(POSTPROCESSOR(model=str(checkpoint)).to_json())
    assert postprocessor.postprocess_nodes([node], query_str="radium")[0].text == expected.page_content
    renamed = by_name.model_copy(update={"model": "nobody/has-this"})
    with pytest.raises(CheckpointError, match="nobody/has-this"):  # and not the model of the old name
        renamed.compress_documents([document], "radium")


WITH_MODEL = [maker for maker in MAKERS if "model" in inspect.signature(maker).parameters]


@pytest.mark.parametrize("maker", WITH_MODEL, ids=[one.__module__[0] + "-" + one.__qualname__ for one in WITH_MODEL])
async def test_a_model_that_cannot_be_meant_is_refused_at_once(maker, tmp_path, word_encoder):
    async def make(**options):
        first = {name: value for name, value in FIRST.items() if name in inspect.signature(maker).parameters}
        first |= {name: tmp_path / "index" for name in ("path", "persist_dir") if name in first}
        first |= {"nodes": [TextNode(text="radium")]} if "nodes" in first else {}
        made = maker(**first, **options)
        return await made if inspect.isawaitable(made) else made

    with pytest.raises(InputError, match="give one of them"):
        await make(encoder=word_encoder, model="nobody/has-this")
    with pytest.raises(InputError, match="pass an open model as encoder"):
        await make(model=word_encoder)
    with pytest.raises(InputError, match="pass a folder or hub id as model"):
        await make(encoder="nobody/has-this")
    with pytest.raises(CheckpointError, match="nobody/has-this"):
        await make(model="nobody/has-this")
    assert not (tmp_path / "index").exists()


async def test_an_engine_opens_with_a_model_by_name(checkpoint, fingerprint, tmp_path):
    async with await Engine.aopen(tmp_path / "index", model=checkpoint) as engine:
        assert engine.info().model == fingerprint


@pytest.mark.folders
def test_how_an_index_is_kept_and_searched_reaches_the_index(tmp_path, word_encoder):
    options = {"encoder": word_encoder, "config": IndexConfig(nbits=16), "search": SearchConfig.preset("exact")}
    for number, engine in enumerate(
        (
            LC.from_texts(["radium"], path=tmp_path / "0", **options).engine,
            LC_STORE.from_texts(["radium"], path=tmp_path / "1", **options).engine,
            LI.from_nodes([TextNode(text="radium")], path=tmp_path / "2", **options).engine,
            LI_STORE.from_path(tmp_path / "3", **options).engine,
        )
    ):
        assert engine.folder == tmp_path / str(number)
        assert engine._index.config == IndexConfig(nbits=16)
        assert engine._search_config.exact


async def bars(capsys, add):
    """Whether something draws a progress bar, when it is asked to, and else nothing."""
    drawn = []
    for options in ({}, {"show_progress": False}, {"show_progress": True}):
        made = add(**options)
        if inspect.isawaitable(made):
            await made
        out, err = capsys.readouterr()
        assert out == ""
        drawn.append("encoding" in err)
    return drawn


@pytest.mark.folders
async def test_progress_is_shown_on_stderr_if_it_is_asked_for(checkpoint, tmp_path, capsys):
    number = iter(range(1000))

    def fresh():
        return f"radium {next(number)}"

    lc = LC.from_texts([fresh()], model=checkpoint, count_tokens=len)
    li = LI.from_nodes([TextNode(text=fresh())], model=checkpoint, count_tokens=len)
    store = LI_STORE.from_path(tmp_path / "index", model=checkpoint)
    for add in (
        lambda **options: LC.from_texts([fresh()], model=checkpoint, **options),
        lambda **options: LC.from_documents([Document(fresh())], model=checkpoint, **options),
        lambda **options: LC_STORE.from_texts([fresh()], model=checkpoint, **options),
        lambda **options: LC_STORE.afrom_documents([Document(fresh())], model=checkpoint, **options),
        lambda **options: lc.add_documents([Document(fresh())], **options),
        lambda **options: lc.aadd_documents([Document(fresh())], **options),
        lambda **options: LI.from_nodes([TextNode(text=fresh())], model=checkpoint, **options),
        lambda **options: LI.from_documents([Whole(text=fresh())], model=checkpoint, **options),
        lambda **options: LI.from_defaults(nodes=[TextNode(text=fresh())], model=checkpoint, **options),
        lambda **options: li.add_nodes([TextNode(text=fresh())], **options),
        lambda **options: li.aadd_nodes([TextNode(text=fresh())], **options),
        lambda **options: li.insert(Whole(text=fresh()), **options),
        lambda **options: li.arefresh_ref_docs([Whole(text=fresh())], **options),
        lambda **options: store.add([TextNode(text=fresh())], **options),
        lambda **options: store.async_add([TextNode(text=fresh())], **options),
    ):
        assert await bars(capsys, add) == [False, False, True]


def test_a_trimmer_draws_a_bar_only_if_it_is_asked_for(checkpoint, capsys):
    for options, drawn in (({}, False), ({"show_progress": False}, False), ({"show_progress": True}, True)):
        trimmer = Trimmer(Encoder.from_pretrained(checkpoint), **options)
        for call in (trimmer.trim, trimmer.evidence):
            call("radium", ["Curie found radium."])
            assert ("encoding" in capsys.readouterr().err) is drawn
