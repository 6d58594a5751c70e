"""Keeping an index in step with changing documents, through LlamaIndex's own classes."""

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores import MetadataFilter, MetadataFilters
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode

from fgr_retriever.errors import ConfigError, IndexWriteError, InputError
from fgr_retriever.testing import WordEncoder
from llama_index.retrievers.fgr import FGRRetriever
from llama_index.vector_stores.fgr import FGRVectorStore

QUERY = "who found radium"
SPLIT = SentenceSplitter(chunk_size=24, chunk_overlap=0)
ANY_EMBEDDING = MockEmbedding(embed_dim=1)


@pytest.fixture
def library(texts):
    return [Document(text=text, id_=id, metadata={"n": len(id)}) for id, text in texts.items()]


@pytest.fixture
def store(tmp_path):
    return FGRVectorStore.from_path(tmp_path / "index", encoder=WordEncoder())


def counts(engine):
    last = engine.last_added
    return last.added, last.updated, last.unchanged, last.deleted


def sources(engine):
    """The ids of the documents that have nodes."""
    nodes = FGRRetriever(engine).get_by_ids(engine.ids())
    return sorted({node.ref_doc_id or node.node_id for node in nodes})


def joined(engine, id):
    """The text of a document, put together from its nodes."""
    nodes = FGRRetriever(engine).get_by_ids(engine.ids())
    return " ".join(node.text for node in nodes if node.ref_doc_id == id)


# --- documents by their ids -------------------------------------------------------------------


def test_every_start_of_an_app_costs_only_what_is_new(tmp_path, library, texts):
    options = {"path": tmp_path / "index", "encoder": WordEncoder(), "transformations": [SPLIT]}
    first = FGRRetriever.from_documents(library, **options)
    many = len(first.engine)
    assert many > len(library)
    assert counts(first.engine) == (many, 0, 0, 0)
    before = first.engine.ids()
    first.engine.close()
    again = FGRRetriever.from_documents(library, **options)
    assert counts(again.engine) == (0, 0, many, 0)
    assert again.engine.ids() == before
    library[0].set_content("Marie Curie found radium, and polonium.")
    assert again.refresh_ref_docs(library, [SPLIT]) == [True, False, False, False, False]
    assert again.engine.last_added == len(again.engine)
    assert again.engine.last_added.unchanged == len(again.engine) - again.engine.last_added.added
    assert joined(again.engine, "curie") == "Marie Curie found radium, and polonium."
    assert [joined(again.engine, id) for id in ("fleming", "nobel")] == [texts["fleming"], texts["nobel"]]
    again.engine.verify()


def test_a_start_also_deletes_what_is_gone_if_asked_for(tmp_path, library):
    options = {"path": tmp_path / "index", "encoder": WordEncoder(), "transformations": [SPLIT]}
    first = FGRRetriever.from_documents(library, **options, delete_missing=True)
    many = len(first.engine)
    first.engine.close()
    kept = FGRRetriever.from_documents(library[1:], **options)
    assert sources(kept.engine) == sorted(one.id_ for one in library)
    kept.engine.close()
    library[1].id_ = "renamed"
    again = FGRRetriever.from_documents(library[1:], **options, delete_missing=True)
    assert sources(again.engine) == sorted(one.id_ for one in library[1:])
    assert 0 < again.engine.last_added.unchanged < many
    before = again.engine.ids()
    again.engine.close()
    with pytest.raises(InputError, match=f"nothing to add, and all {len(before)} stored"):
        FGRRetriever.from_documents([], **options, delete_missing=True)
    assert FGRRetriever.from_persist_dir(tmp_path / "index", encoder=WordEncoder()).engine.ids() == before
    assert not FGRRetriever.from_documents([], encoder=WordEncoder(), delete_missing=True).engine.ids()


async def test_insert_and_delete_by_document(tmp_path, library):
    retriever = FGRRetriever.from_documents(library, encoder=WordEncoder(), transformations=[SPLIT])
    assert retriever.delete_ref_doc("nobel") > 1
    assert await retriever.adelete_ref_doc("nobel") == 0
    assert sources(retriever.engine) == sorted({one.id_ for one in library} - {"nobel"})
    assert retriever.insert(library[2], [SPLIT])
    assert not await retriever.ainsert(library[2], [SPLIT])
    assert await retriever.arefresh_ref_docs(library, [SPLIT]) == [False] * 5
    assert sources(retriever.engine) == sorted(one.id_ for one in library)


def test_a_document_that_is_stored_whole(library):
    retriever = FGRRetriever.from_documents(library, encoder=WordEncoder(), transformations=[])
    assert retriever.engine.ids() == [one.id_ for one in library]
    retriever.refresh_ref_docs(library, [])
    assert counts(retriever.engine) == (0, 0, 5, 0)
    assert retriever.delete_ref_doc("curie") == 1
    assert "curie" not in retriever.engine


def test_a_node_that_is_named_like_a_document_is_not_that_document(library):
    retriever = FGRRetriever.from_documents(library[:1], encoder=WordEncoder(), transformations=[SPLIT])
    (node, *_) = SPLIT.get_nodes_from_documents(library[1:2])
    node.id_ = "curie"
    retriever.add_nodes([node])
    retriever.delete_ref_doc("curie")
    assert retriever.engine.ids() == ["curie"]
    assert retriever.get_by_ids(["curie"])[0].ref_doc_id == "fleming"


async def test_what_is_missing_is_deleted_if_asked_for(tmp_path, library):
    retriever = FGRRetriever.from_documents(library, encoder=WordEncoder(), transformations=[SPLIT])
    retriever.add_nodes([TextNode(text="of no document", id_="lone")])
    library[0].set_content("Curie found radium, and polonium.")
    left = [one for one in library if one.id_ in ("curie", "nobel")]
    assert await retriever.arefresh_ref_docs(left, [SPLIT], delete_missing=True) == [True, False]
    assert sources(retriever.engine) == ["curie", "nobel"]
    assert joined(retriever.engine, "curie") == "Curie found radium, and polonium."
    last = retriever.engine.last_added
    assert (last.unchanged, last.added + last.unchanged) == (len(retriever.engine) - last.added, last)
    assert retriever.refresh_ref_docs(left, [SPLIT]) == [False, False]


def test_documents_that_are_stored_whole_are_known_again(library):
    retriever = FGRRetriever.from_documents(library, encoder=WordEncoder(), transformations=[])
    assert retriever.engine.ids() == [one.id_ for one in library]
    assert retriever.refresh_ref_docs(library, []) == [False] * len(library)
    assert counts(retriever.engine) == (0, 0, len(library), 0)
    library[0].metadata["n"] = 7
    library[1].set_content("Other.")
    assert retriever.refresh_ref_docs(library, []) == [True, True, False, False, False]
    assert counts(retriever.engine) == (0, 2, len(library) - 2, 0)


def test_nothing_does_not_take_the_place_of_all(library):
    retriever = FGRRetriever.from_documents(library[:1], encoder=WordEncoder(), transformations=[SPLIT])
    before = retriever.engine.ids()
    for nothing in ([], [Document(text="", id_="curie")], [Document(text=" ", id_="other")]):
        with pytest.raises(InputError, match=f"nothing to add, and all {len(before)} stored .* delete.engine.ids"):
            retriever.refresh_ref_docs(nothing, [SPLIT], delete_missing=True)
        assert retriever.engine.ids() == before
    assert retriever.refresh_ref_docs([Document(text="", id_="curie")], [SPLIT]) == [True]
    assert counts(retriever.engine) == (0, 0, 0, len(before))
    assert retriever.refresh_ref_docs([], [SPLIT], delete_missing=True) == []  # nothing is stored, so nothing is lost


def test_refreshing_is_one_transaction(library):
    retriever = FGRRetriever.from_documents(library, encoder=WordEncoder(), transformations=[SPLIT])
    before = retriever.engine.ids()
    library[0].set_content("New.")
    library[1].metadata["bad"] = float("nan")
    with pytest.raises(InputError, match="finite"):
        retriever.refresh_ref_docs(library, [SPLIT])
    assert retriever.engine.ids() == before
    with pytest.raises(InputError, match="'curie' comes twice"):
        retriever.refresh_ref_docs([library[0], library[0]])
    with pytest.raises(InputError, match="must be a node"):
        retriever.refresh_ref_docs(["text"])


def test_nodes_with_ids_that_stay_are_not_encoded_again(tmp_path, library):
    splitter = SentenceSplitter(chunk_size=24, chunk_overlap=0, id_func=lambda n, document: f"{document.id_}-{n}")
    options = {"path": tmp_path / "index", "encoder": WordEncoder()}
    first = FGRRetriever.from_nodes(splitter.get_nodes_from_documents(library), **options)
    many = len(first.engine)
    library[0].metadata["n"] = 100
    again = FGRRetriever.from_nodes(splitter.get_nodes_from_documents(library), **options)
    curie = sum(id.startswith("curie") for id in again.engine.ids())
    assert counts(again.engine) == (0, curie, many - curie, 0)


async def test_fetching_adding_and_deleting(library):
    retriever = FGRRetriever.from_nodes([], encoder=WordEncoder())
    nodes = [TextNode(text="Radium glows.", id_="a", metadata={"n": 1}), TextNode(text="Snow fell.", id_="b")]
    assert await retriever.aadd_nodes(nodes) == ["a", "b"]
    assert retriever.get_by_ids(["b", "unknown", "a"]) == nodes[::-1]
    assert await retriever.aget_by_ids(["a"]) == nodes[:1]
    assert (retriever.delete(["a", "unknown"]), await retriever.adelete(["b"]), len(retriever.engine)) == (1, 1, 0)


def test_what_is_no_node_and_no_engine_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(InputError, match="TextNode"):
        FGRRetriever.from_nodes(["text"], path=tmp_path / "index", encoder=WordEncoder())
    with pytest.raises(InputError, match=r"Engine\.open"):
        FGRVectorStore(str(tmp_path))


# --- the ingestion pipeline and the index of LlamaIndex ---------------------------------------


@pytest.mark.parametrize("strategy", [DocstoreStrategy.UPSERTS, DocstoreStrategy.UPSERTS_AND_DELETE])
def test_ingestion_keeps_step(store, library, strategy):
    pipeline = IngestionPipeline(
        transformations=[SPLIT, ANY_EMBEDDING],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=strategy,
    )
    pipeline.run(documents=library)
    assert sources(store.engine) == sorted(one.id_ for one in library)
    before = set(store.engine.ids())
    pipeline.run(documents=library)
    assert set(store.engine.ids()) == before
    library[0].set_content("Marie Curie found radium, and polonium.")
    pipeline.run(documents=library[:4])
    gone = {"empty-handed"} if strategy is DocstoreStrategy.UPSERTS_AND_DELETE else set()
    assert sources(store.engine) == sorted({one.id_ for one in library} - gone)
    assert joined(store.engine, "curie") == "Marie Curie found radium, and polonium."
    store.engine.verify()


async def test_ingestion_async(store, library):
    pipeline = IngestionPipeline(
        transformations=[SPLIT, ANY_EMBEDDING],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
    )
    await pipeline.arun(documents=library)
    await pipeline.arun(documents=library[:2])
    assert sources(store.engine) == ["curie", "fleming"]


def test_the_index_of_llama_index(store, library):
    context = StorageContext.from_defaults(vector_store=store)
    index = VectorStoreIndex.from_documents(
        library[:3], storage_context=context, embed_model=ANY_EMBEDDING, transformations=[SPLIT]
    )
    best = index.as_retriever(similarity_top_k=1).retrieve(QUERY)[0]
    assert (best.node.ref_doc_id, best.score) == ("curie", pytest.approx(store.engine.search(QUERY)[0].score))
    index.insert(library[3])
    index.delete_ref_doc("nobel")
    assert sources(store.engine) == ["curie", "fleming", "röntgen"]
    library[0].set_content("Marie Curie found radium, and polonium.")
    assert index.refresh_ref_docs(library[:2]) == [True, False]
    assert joined(store.engine, "curie") == "Marie Curie found radium, and polonium."


# --- the vector store -------------------------------------------------------------------------


def test_nodes_of_the_vector_store(store):
    nodes = [TextNode(text=f"Radium {n}.", id_=str(n), metadata={"n": n}) for n in range(5)]
    store.add(nodes)
    small = MetadataFilters(filters=[MetadataFilter(key="n", value=2, operator="<")])
    assert store.get_nodes(["3", "1"]) == [nodes[3], nodes[1]]
    assert store.get_nodes(["3", "1"], small) == [nodes[1]]
    assert store.get_nodes(filters=small) == nodes[:2]
    found = store.query(VectorStoreQuery(query_str="radium", similarity_top_k=9, filters=small))
    assert (found.nodes, found.ids, len(found.similarities)) == (nodes[:2], ["0", "1"], 2)
    store.delete_nodes(["4"])
    store.delete_nodes(filters=small)
    assert store.engine.ids() == ["2", "3"]
    with pytest.raises(InputError, match="clear"):
        store.delete_nodes()
    store.clear()
    assert len(store.engine) == 0


@pytest.mark.parametrize(
    "query",
    [
        VectorStoreQuery(query_str=QUERY, mode=VectorStoreQueryMode.MMR),
        VectorStoreQuery(query_str=QUERY, node_ids=["a"]),
        VectorStoreQuery(query_embedding=[0.1]),
    ],
    ids=["mmr", "node ids", "no text"],
)
async def test_what_the_vector_store_cannot_do_is_refused(store, query):
    with pytest.raises((ConfigError, InputError), match=r"use|query_str"):
        store.query(query)
    with pytest.raises((ConfigError, InputError)):
        await store.aquery(query)


# --- persisting -------------------------------------------------------------------------------


@pytest.mark.folders
def test_persisting_twice_into_one_folder(tmp_path, library):
    retriever = FGRRetriever.from_documents(library[:2], encoder=WordEncoder(), transformations=[])
    retriever.persist(persist_dir=tmp_path / "saved")
    retriever.insert(library[2], [])
    retriever.similarity_top_k = 1
    retriever.persist(persist_dir=tmp_path / "saved")
    again = FGRRetriever.from_persist_dir(persist_dir=tmp_path / "saved", encoder=WordEncoder())
    assert again.engine.ids() == ["curie", "fleming", "nobel"]
    assert again.similarity_top_k == 1
    again.engine.verify()
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


@pytest.mark.folders
def test_persisting_that_fails_leaves_what_was_saved(tmp_path, library, monkeypatch):
    retriever = FGRRetriever.from_documents(library[:2], encoder=WordEncoder(), transformations=[])
    retriever.persist(tmp_path / "saved")
    retriever.insert(library[2], [])

    def refuse(self, target):
        if self.name == "fresh":
            raise OSError("no")
        return rename(self, target)

    rename = type(tmp_path).rename
    monkeypatch.setattr(type(tmp_path), "rename", refuse)
    with pytest.raises(IndexWriteError, match="no"):
        retriever.persist(tmp_path / "saved")
    monkeypatch.undo()
    again = FGRRetriever.from_persist_dir(tmp_path / "saved", encoder=WordEncoder())
    assert again.engine.ids() == ["curie", "fleming"]


@pytest.mark.folders
def test_whole_nodes_are_persisted(tmp_path, library):
    retriever = FGRRetriever.from_documents(library[:2], encoder=WordEncoder(), transformations=[], trim=None)
    retriever.persist(tmp_path / "saved")
    assert FGRRetriever.from_persist_dir(tmp_path / "saved", encoder=WordEncoder()).trim is None
