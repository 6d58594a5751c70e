"""Which collection is meant, and how a new one is made. Needs no client until it is opened."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from typing_extensions import Self

from fgr_retriever.arguments import check, is_count
from fgr_retriever.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

Storage = Literal["exact", "balanced", "small"]

SCHEMES = ("qdrant", "qdrants")
API_KEY = "QDRANT_API_KEY"
"""The environment variable with the key for a server that is named by a URL."""

_PORTS = {"grpc": 6334, "rest": 6333}
_NUMBERS = ("shards", "replicas", "consistency", "timeout")
_FORM = "qdrant://HOST[:PORT]/COLLECTION, or qdrants:// for TLS"


@dataclass(frozen=True, slots=True, eq=False)
class QdrantCollection:
    """A collection of a Qdrant server or cluster, for `Engine.open`.

    The last five settings are for a collection that is made; one that is there stays as it is.

    Args:
        client: Your own client: keys, TLS, gRPC and time limits are up to it, and you close it.
        name: Name of the collection, or an alias of one.
        storage: How token vectors are kept: `exact` as float16, 2 bytes a dimension; `balanced` as TurboQuant with
            8 bits; `small` with 4. None is `balanced`, or what the collection has.
        fields: Metadata keys by which you filter, such as `year` or `author.name`: each gets payload indexes.
        shards: Number of shards; None leaves it to the server, as do the next two.
        replicas: Copies of each shard.
        consistency: Copies that must have a write before it counts.

    Raises:
        ConfigError: A setting has a wrong type or is out of range.
    """

    client: QdrantClient | None
    name: str
    storage: Storage | None = None
    fields: tuple[str, ...] = ()
    shards: int | None = None
    replicas: int | None = None
    consistency: int | None = None
    _url: str = field(default="", repr=False)
    _options: tuple[tuple[str, Any], ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Check every setting."""
        check("name", self.name, isinstance(self.name, str) and bool(self.name), "the name of a collection")
        known = self.storage is None or self.storage in get_args(Storage)
        check("storage", self.storage, known, f"one of {get_args(Storage)}")
        keys = isinstance(self.fields, tuple) and all(isinstance(one, str) for one in self.fields)
        check("fields", self.fields, keys, "a tuple of metadata keys")
        for name in ("shards", "replicas", "consistency"):
            value = getattr(self, name)
            check(name, value, value is None or is_count(value, 1), "None or an integer of at least 1")

    @classmethod
    def at(cls, url: str) -> Self:
        """Read a URL: `qdrant://HOST:PORT/COLLECTION?storage=small&fields=year,lang&shards=6&replicas=2`.

        `qdrants://` is for TLS. The port is that of gRPC, 6334; with `protocol=rest` it is that of REST, 6333.
        `timeout` is in seconds. A key is taken from the environment variable `QDRANT_API_KEY`, never from the URL.

        Raises:
            InputError: The URL is of another form, has a password, or an option that there is not.
            ConfigError: An option is out of range.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise InputError(f"the URL of the index has no valid host and port: give {_FORM}") from None
        if parts.username is not None or parts.password is not None:
            raise InputError(f"the URL of the index has a user or password: put the key into {API_KEY}, give {_FORM}")
        name = unquote(parts.path.strip("/"))
        if parts.scheme not in SCHEMES or not parts.hostname or not name or "/" in name or parts.fragment:
            # Not which URL: somebody may have put a key there.
            raise InputError(f"the URL of the index names no collection: give {_FORM}")
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        if wrong := sorted(given.keys() - {"storage", "fields", "protocol", *_NUMBERS}):
            # Not what they are set to, for the same reason.
            raise InputError(f"the URL of the index has unknown options {wrong}; a key belongs into {API_KEY}")
        protocol = given.pop("protocol", "grpc")
        check("protocol", protocol, protocol in _PORTS, f"one of {tuple(_PORTS)}")
        numbers = {key: _number(key, given.pop(key)) for key in _NUMBERS if key in given}
        options = {
            "host": parts.hostname,
            "https": parts.scheme == "qdrants",
            "prefer_grpc": protocol == "grpc",
            "grpc_port" if protocol == "grpc" else "port": port or _PORTS[protocol],
            "timeout": numbers.pop("timeout", None),
        }
        fields = tuple(filter(None, given.pop("fields", "").split(",")))
        storage: Any = given.pop("storage", None)
        return cls(None, name, storage, fields, **numbers, _url=url, _options=tuple(options.items()))

    @property
    def location(self) -> str:
        """The URL, or what there is to say of a client of one's own."""
        return self._url or f"the Qdrant collection {self.name!r}"

    @property
    def url(self) -> str:
        """The URL; empty for a client of one's own."""
        return self._url

    def connected(self) -> tuple[Self, bool]:
        """Give the collection with a client, and whether that was made here and is to be closed.

        Raises:
            MissingExtraError: qdrant-client is not installed.
        """
        if self.client is not None:
            return self, False
        try:
            from qdrant_client import QdrantClient
        except ModuleNotFoundError as error:
            raise MissingExtraError("an index in a Qdrant collection", "qdrant") from error
        key = os.environ.get(API_KEY) or None
        client = QdrantClient(**dict(self._options), api_key=key, check_compatibility=False)
        return replace(self, client=client), True


def is_url(place: object) -> bool:
    """Say whether a place is the URL of a collection."""
    return isinstance(place, str) and place.partition("://")[0] in SCHEMES and "://" in place


def _number(key: str, text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    check(key, text, number >= 1, "an integer of at least 1")
    return number
