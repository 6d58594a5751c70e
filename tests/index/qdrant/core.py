"""Qdrant's own core in this process, behind the calls of its client that the library makes.

The core is the code of a server's shard: storage, quantisation, filters, MaxSim. What a server does around it is done
here in the simplest way: points are spread over shards by their ids, and the answers of the shards are merged.
"""

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import qdrant_edge as core
from qdrant_client import models

_DATATYPES = {"float16": "Float16", "turbo8": "Turbo8", "turbo4": "Turbo4"}
_KINDS = {"keyword": "Keyword", "float": "Float", "integer": "Integer"}


class CoreClient:
    """A client with one collection.

    Args:
        folder: Where its shards are.
        shards: How many there are.
        log: Write ahead, as a server does: what was acknowledged then outlives the process.
    """

    def __init__(self, folder, shards=1, log=False):
        self._log = log
        self._folders = [Path(folder) / str(number) for number in range(shards)]
        self._shards = [core.EdgeShard.load(str(one)) for one in self._folders if one.exists()]
        self._params = None
        self.calls = defaultdict(int)

    def __getattribute__(self, name):
        if not name.startswith("_") and name not in ("calls", "optimize", "flush"):
            self.calls[name] += 1
        return super().__getattribute__(name)

    def collection_exists(self, collection_name):
        return bool(self._shards)

    def get_aliases(self):
        return SimpleNamespace(aliases=[])

    def create_collection(
        self, collection_name, vectors_config, sparse_vectors_config, on_disk_payload, shard_number=None, **cluster
    ):
        vectors = {name: _vector_params(one) for name, one in vectors_config.items()}
        sparse = {
            name: core.EdgeSparseVectorParams(modifier=core.Modifier.Idf if one.modifier else None)
            for name, one in sparse_vectors_config.items()
        }
        config = core.EdgeConfig(
            vectors=vectors, sparse_vectors=sparse, on_disk_payload=on_disk_payload, wal_enabled=self._log
        )
        for folder in self._folders:
            folder.mkdir(parents=True)
            self._shards.append(core.EdgeShard.create(str(folder), config))
        self._params = SimpleNamespace(vectors=vectors_config, sparse_vectors=sparse_vectors_config)

    def get_collection(self, collection_name):
        segments = sum(shard.info().segments_count for shard in self._shards)
        return SimpleNamespace(config=SimpleNamespace(params=self._params), segments_count=segments)

    def create_payload_index(self, collection_name, field_name, field_schema, wait):
        kind = getattr(core.PayloadSchemaType, _KINDS[field_schema])
        self._update(core.UpdateOperation.create_field_index(field_name, kind))

    def upsert(self, collection_name, points, wait):
        for shard, some in self._spread(points, lambda one: one.id):
            made = [core.Point(one.id, _vectors(one.vector), one.payload) for one in some]
            shard.update(core.UpdateOperation.upsert_points(made))

    def update_vectors(self, collection_name, points, wait):
        for shard, some in self._spread(points, lambda one: one.id):
            made = [core.PointVectors(one.id, _vectors(one.vector)) for one in some]
            shard.update(core.UpdateOperation.update_vectors(made))

    def set_payload(self, collection_name, payload, points, wait):
        for shard, some in self._spread(points, str):
            shard.update(core.UpdateOperation.set_payload(list(map(str, some)), payload))

    def batch_update_points(self, collection_name, update_operations, wait):
        for one in update_operations:
            self.set_payload(collection_name, one.set_payload.payload, one.set_payload.points, wait)

    def delete(self, collection_name, points_selector, wait):
        for shard, some in self._spread(points_selector.points, str):
            shard.update(core.UpdateOperation.delete_points(list(map(str, some))))

    def retrieve(self, collection_name, ids, with_payload, with_vectors):
        return [
            _record(one)
            for shard, some in self._spread(ids, str)
            for one in shard.retrieve(list(map(str, some)), with_payload, with_vectors)
        ]

    def scroll(self, collection_name, scroll_filter, limit, offset, with_payload, with_vectors):
        request = core.ScrollRequest(offset, limit + 1, _to_core(scroll_filter), with_payload, with_vectors)
        found = [one for shard in self._shards for one in shard.scroll(request)[0]]
        found.sort(key=lambda one: UUID(str(one.id)))
        return [_record(one) for one in found[:limit]], str(found[limit].id) if len(found) > limit else None

    def count(self, collection_name, exact, count_filter=None):
        request = core.CountRequest(exact, None if count_filter is None else _to_core(count_filter))
        return SimpleNamespace(count=sum(shard.count(request) for shard in self._shards))

    def query_batch_points(self, collection_name, requests):
        return [SimpleNamespace(points=self._query(one)) for one in requests]

    def optimize(self):
        """Build graphs and merge segments, as a server does by itself."""
        for shard in self._shards:
            shard.optimize()

    def flush(self):
        """Write everything to its place."""
        for shard in self._shards:
            shard.flush()

    def close(self):
        shards, self._shards = self._shards, []
        for shard in shards:
            shard.flush()
            shard.close()

    def _query(self, asked):
        request = core.QueryRequest(
            asked.limit,
            query=core.Query.Nearest(_vector(asked.query), asked.using),
            prefetches=[_prefetch(one) for one in asked.prefetch or ()],
            filter=None if asked.filter is None else _to_core(asked.filter),
            params=None if asked.params is None else core.SearchParams(exact=bool(asked.params.exact)),
            with_payload=asked.with_payload,
            with_vector=asked.with_vector,
        )
        found = [one for shard in self._shards for one in shard.query(request)]
        found.sort(key=lambda one: -one.score)
        return [_record(one, score=one.score) for one in found[: asked.limit]]

    def _update(self, operation):
        for shard in self._shards:
            shard.update(operation)

    def _spread(self, items, id_of):
        """Pair each shard that has some of the items with those."""
        found = defaultdict(list)
        for item in items:
            found[UUID(str(id_of(item))).int % len(self._shards)].append(item)
        return [(self._shards[number], some) for number, some in found.items()]


def _record(one, **more):
    return SimpleNamespace(id=str(one.id), payload=one.payload, vector=one.vector, **more)


def _vector_params(params):
    distance = getattr(core.Distance, params.distance.value)
    if params.multivector_config is None:
        return core.EdgeVectorParams(params.size, distance)
    return core.EdgeVectorParams(
        params.size,
        distance,
        on_disk=params.on_disk,
        multivector_config=core.MultiVectorConfig(core.MultiVectorComparator.MaxSim),
        datatype=getattr(core.VectorStorageDatatype, _DATATYPES[params.datatype.value]),
        hnsw_config=core.HnswIndexConfig(params.hnsw_config.m, 100, 10_000),
    )


def _vectors(named):
    return {name: _vector(one) for name, one in named.items()}


def _vector(one):
    return core.SparseVector(one.indices, one.values) if isinstance(one, models.SparseVector) else one


def _prefetch(one):
    params = None if one.params is None else core.SearchParams(hnsw_ef=one.params.hnsw_ef)
    return core.Prefetch(
        one.limit, core.Query.Nearest(_vector(one.query), one.using), filter=_to_core(one.filter), params=params
    )


def _to_core(one):
    """Turn a condition of the client into the core's."""
    if isinstance(one, models.Filter):
        must, should, must_not = (
            [_to_core(part) for part in part or ()] for part in (one.must, one.should, one.must_not)
        )
        return core.Filter(must=must or None, should=should or None, must_not=must_not or None)
    if isinstance(one, models.HasIdCondition):
        return core.HasIdCondition(set(one.has_id))
    if isinstance(one, models.HasVectorCondition):
        return core.HasVectorCondition(one.has_vector)
    if isinstance(one, models.IsEmptyCondition):
        return core.IsEmptyCondition(one.is_empty.key)
    if one.range is not None:
        bounds = {name: value for name, value in one.range.model_dump().items() if value is not None}
        return core.FieldCondition(one.key, range=core.RangeFloat(**bounds))
    if isinstance(one.match, models.MatchAny):
        return core.FieldCondition(one.key, match=core.MatchAny(one.match.any))
    return core.FieldCondition(one.key, match=core.MatchSubstring(one.match.substring))
