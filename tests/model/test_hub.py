"""A model that is not on this machine, behind a hub of the test: a real server, or a closed port."""

import http.server
import logging
import shutil
import socket
import threading

import pytest
from huggingface_hub import constants

from fgr_retriever.errors import CheckpointError
from fgr_retriever.model.encoder import Encoder
from fgr_retriever.model.hub import locate_model
from fgr_retriever.search.stages.cross_encoder import CrossEncoder
from fgr_retriever.search.stages.dense import _open as open_dense
from fgr_retriever.testing import tiny_checkpoint
from fgr_retriever.training.config import TrainingConfig
from fgr_retriever.training.start import start_model

NAME = "somebody/some-model"
LOADERS = {
    "late": Encoder.from_pretrained,
    "bi-encoder": lambda name: Encoder.from_bi_encoder(name, ["text"]),
    "dense": open_dense,
    "cross-encoder": lambda name: CrossEncoder(model=name)._scores([("question", "text")]),
}


def train(name):
    return start_model(TrainingConfig(base=name, spans=("x.jsonl",)), ["text"])


@pytest.fixture(autouse=True)
def _online(monkeypatch, tmp_path):
    """Let the client of the hub ask, with an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def hub_at(monkeypatch, port):
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    return url


@pytest.fixture
def nobody(monkeypatch):
    """A hub whose port is closed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    return hub_at(monkeypatch, port)


@pytest.fixture
def hub(monkeypatch):
    """A hub that answers every question with one status, and lists what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            if answer.get("wait"):
                answer["wait"].wait(30)
            self.send_response(answer["status"])
            for key, value in answer["headers"].items():
                self.send_header(key, value)
            self.end_headers()

        do_GET = do_HEAD

        def log_message(self, *args):
            pass

    asked, answer = [], {}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub_at(monkeypatch, server.server_port)

    def answering(status, **headers):
        answer.update(status=status, headers={key.replace("_", "-"): value for key, value in headers.items()})
        return asked, answer

    yield answering
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("opened", LOADERS.values(), ids=LOADERS)
def test_a_hub_that_is_not_reachable_is_named_at_once(opened, nobody, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(CheckpointError) as raised:
        opened(NAME)
    message = str(raised.value)
    assert all(part in message for part in (NAME, nobody, "could not be reached", "give a folder", "HF_HUB_OFFLINE"))
    assert "Retrying" not in caplog.text


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (404, "RepoNotFound", "has no such model: check the id; if it is private, log in"),
        (401, "RepoNotFound", "has no such model"),
        (
            403,
            "GatedRepo",
            r"gated on the hub: ask for access at http://127.0.0.1:\d+/somebody/some-model, then log in",
        ),
        (404, "RevisionNotFound", "no revision 'v9' of it"),
        (503, "", "answers 503"),
        (403, "", "answers 403"),
    ],
)
def test_what_the_hub_says_is_passed_on_with_the_remedy(hub, status, code, said):
    asked, _ = hub(status, X_Error_Code=code)
    with pytest.raises(CheckpointError, match=rf"'{NAME}'.*{said}"):
        Encoder.from_pretrained(NAME, revision="v9")
    assert asked == [f"/{NAME}/resolve/v9/config.json"]  # once


def test_a_hub_that_never_answers_is_not_waited_for(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "0.2")
    _, answer = hub(200)
    answer["wait"] = threading.Event()
    with pytest.raises(CheckpointError, match=r"could not be reached.*HF_HUB_ETAG_TIMEOUT"):
        Encoder.from_pretrained(NAME)
    answer["wait"].set()


def test_a_repository_without_that_file_is_there(hub):
    hub(404, X_Error_Code="EntryNotFound")
    assert locate_model(NAME) == NAME


def test_offline_nothing_is_asked(hub, monkeypatch):
    asked, _ = hub(200)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"HF_HUB_OFFLINE forbids.*hf download somebody/some-model"):
        Encoder.from_pretrained(NAME)
    assert asked == []


@pytest.mark.parametrize(
    "name",
    [
        *("/no/such/folder", "a/b/c", "what is this?", "./mine", "../mine", "~/mine", "models/", "models\\mine"),
        *("texts.py", "mine/config.json", "mine/model.safetensors"),
    ],
)
def test_what_can_be_no_id_is_not_asked_for(name, hub, tmp_path, monkeypatch):
    asked, _ = hub(200)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="there is no such folder, and it is no id of the hub"):
        Encoder.from_pretrained(name)
    assert asked == []


@pytest.mark.parametrize("name", ["Qwen/Qwen3-Embedding-0.6B", "colbertv2.0", "openai/whisper-tiny.en"])
def test_an_id_with_a_dot_is_asked_for(name, hub):
    asked, _ = hub(404, X_Error_Code="RepoNotFound")
    with pytest.raises(CheckpointError, match="has no such model"):
        Encoder.from_pretrained(name)
    assert asked == [f"/{name}/resolve/main/config.json"]


@pytest.mark.parametrize("opened", [*LOADERS.values(), train], ids=[*LOADERS, "training"])
def test_a_file_is_no_model(opened, hub, tmp_path, monkeypatch):
    asked, _ = hub(404, X_Error_Code="RepoNotFound")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts.py").write_text("TEXTS = []")
    (tmp_path / "plain").write_text("no suffix")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_text("{}")
    for name, remedy in (
        ("texts.py", "the folder of a model, or a hub id"),
        ("plain", "the folder of a model"),
        ("mine/config.json", "the folder that it lies in: 'mine'"),
    ):
        with pytest.raises(CheckpointError, match=f"'{name}': it is a file.*{remedy}"):
            opened(name)
    assert asked == []


def test_a_model_in_the_cache_opens_without_the_hub(nobody, tmp_path, caplog):
    commit = "0" * 40
    repository = tmp_path / "cache" / "models--somebody--some-model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    folder = shutil.copytree(tiny_checkpoint(tmp_path / "model"), repository / "snapshots" / commit)
    with caplog.at_level(logging.DEBUG):
        encoder = Encoder.from_pretrained(NAME)
    assert encoder.fingerprint == Encoder.from_pretrained(folder).fingerprint
    assert encoder.name == NAME
    assert "Retrying" not in caplog.text
