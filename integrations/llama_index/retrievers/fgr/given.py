"""What a user passes, checked: the message has the remedy for what people pass in its place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from llama_index.core import Settings
from llama_index.core.indices.base import BaseIndex
from llama_index.core.schema import BaseNode, Document, NodeWithScore, TransformComponent
from llama_index.core.storage.docstore.types import BaseDocumentStore

from fgr_retriever import QdrantCollection
from fgr_retriever.errors import InputError

Place: TypeAlias = str | Path | QdrantCollection
"""A folder, the URL of a collection, or a collection with a client of one's own."""


def given_place(place: object, name: str) -> Place:
    """Take a folder, or what names a collection.

    Raises:
        InputError: It is neither.
    """
    if isinstance(place, (str, Path, QdrantCollection)):
        return place
    if isinstance(place, os.PathLike):
        return Path(place)
    raise InputError(
        f"{name}={place!r:.200}: must be the folder of an index, a string or a Path, or the URL of a collection"
    )


def given_docstore(index: object) -> BaseDocumentStore:
    """Take the document store of an index of LlamaIndex, with nodes in it.

    Raises:
        InputError: It is no index, or there are no nodes in it.
    """
    if not isinstance(index, BaseIndex):
        raise InputError(
            f"index={index!r:.120}: must be an index of LlamaIndex; from_documents takes documents, from_nodes nodes"
        )
    if not index.docstore.docs:
        raise InputError("the index has no nodes in its document store: pass them as nodes")
    return index.docstore


def given_nodes(nodes: object) -> list[Any]:
    """List nodes, or documents, which are nodes, too.

    Raises:
        InputError: They are not.
    """
    return [given_node(node) for node in _listed(nodes, "nodes")]


def given_documents(documents: object) -> list[Document]:
    """List documents; other nodes would be split once more and stored beside themselves.

    Raises:
        InputError: They are not.
    """
    return [given_document(document) for document in _listed(documents, "documents")]


def given_document(document: object) -> Document:
    """Take a document.

    Raises:
        InputError: It is none.
    """
    if isinstance(document, Document):
        return document
    node = given_node(document)
    raise InputError(
        f"{node.node_id!r:.80} is a {type(node).__name__}: a node, not a document. add_nodes and from_nodes take "
        "nodes, from_documents, insert and refresh_ref_docs take whole documents"
    )


def _listed(nodes: object, name: str) -> Iterable[object]:
    """Take what is called `name`, a list of nodes or documents; what is in it is not looked at."""
    if isinstance(nodes, BaseNode):
        kind = type(nodes).__name__
        raise InputError(f"{name} is one {kind}, {nodes.node_id!r:.80}: must be a list of {name}; put it into a list")
    if isinstance(nodes, (str, os.PathLike)):
        raise InputError(
            f"{name}={nodes!r:.120}: must be a list of {name}. The files of a folder become documents with "
            "SimpleDirectoryReader(folder, filename_as_id=True).load_data(), a text with Document(text=...); the "
            "folder of the index is `path=`"
        )
    if isinstance(nodes, Mapping) or not isinstance(nodes, Iterable):
        raise InputError(f"{name}={nodes!r:.120}: must be a list of {name}")
    return nodes


def given_node(node: object) -> BaseNode:
    """Take a node or a document.

    Raises:
        InputError: It is none.
    """
    if isinstance(node, BaseNode):
        return node
    advice = "TextNode(text=...) or Document(text=...) makes one"
    if isinstance(node, NodeWithScore):
        advice = "pass its `node`, without the score"
    elif isinstance(node, Sequence) and not isinstance(node, str):
        advice = "pass one flat list to what takes many; insert takes one document, refresh_ref_docs many"
    raise InputError(f"{node!r:.200}: must be a node; {advice}")


def given_steps(transformations: Sequence[TransformComponent] | None) -> Sequence[TransformComponent]:
    """List the transformations that make nodes of documents; None takes those of LlamaIndex's `Settings`.

    Raises:
        InputError: They are no list, or one is nothing that transforms nodes.
    """
    if transformations is None:
        return Settings.transformations
    if isinstance(transformations, str) or not isinstance(transformations, Sequence):
        kind = transformations if isinstance(transformations, type) else type(transformations)
        example = f"[{kind.__name__}(...)]" if issubclass(kind, TransformComponent) else "[SentenceSplitter(...)]"
        raise InputError(f"transformations={transformations!r:.120}: must be a list, such as {example}")
    for one in transformations:
        if isinstance(one, type) or not callable(one):
            raise InputError(f"transformations: {one!r:.120} must be an open one, such as SentenceSplitter(...)")
    return transformations
