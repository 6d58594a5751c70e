"""Shards on a real local Ray with two workers: the same files, and a second run makes none again."""

import sys

import pytest

from fgr_retriever.errors import ConfigError, MissingExtraError
from fgr_retriever.index.encoded.on_ray import encode_on_ray
from fgr_retriever.index.encoded.writing import encode_shard
from fgr_retriever.testing import WordEncoder
from tests.index.encoded.corpus import contents, corpus, encode_all


@pytest.fixture(scope="module")
def cluster():
    ray = pytest.importorskip("ray", reason="no Ray: pip install 'fgr-retriever[ray]'")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": ":".join(sys.path)}},
    )
    yield ray
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Ray's own
def test_the_same_files_as_without_ray_and_none_made_again(cluster, tmp_path):
    expected = encode_all(tmp_path / "expected")[::-1]
    encode_shard(corpus(), WordEncoder(), tmp_path / "found", "1/3")  # an earlier run was interrupted after this one
    found = encode_on_ray(corpus, WordEncoder, tmp_path / "found", 3, workers=2)
    assert [one.passages for one in found] == [one.passages for one in expected]
    assert [one.encoded for one in found] == [expected[0].passages, 0, expected[2].passages]
    assert contents(tmp_path / "found") == contents(tmp_path / "expected")
    again = encode_on_ray(corpus, WordEncoder, tmp_path / "found", 3, workers=2)
    assert [one.encoded for one in again] == [0, 0, 0]


def test_without_ray_and_with_wrong_numbers(tmp_path, monkeypatch):
    for wrong in ({"shards": 0, "workers": 1}, {"shards": 1, "workers": True}):
        with pytest.raises(ConfigError, match="must be an integer of at least 1"):
            encode_on_ray(corpus, WordEncoder, tmp_path, **wrong)
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "ray.data", raising=False)
    with pytest.raises(MissingExtraError, match="ray"):
        encode_on_ray(corpus, WordEncoder, tmp_path, 1, workers=1)
