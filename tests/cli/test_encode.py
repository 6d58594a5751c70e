"""`fgr encode` and `fgr index --from-encoded`."""

import json

import pytest

from fgr_retriever.cli import main
from fgr_retriever.testing import tiny_checkpoint

TEXTS = ["A kiln fires clay.", "The glaze runs.", "A wheel turns.", "Slip is thin clay.", "Bisque is porous."]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_checkpoint(tmp_path_factory.mktemp("model")))


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.jsonl"
    records = (json.dumps({"name": f"p{n}", "body": text, "n": n}) for n, text in enumerate(TEXTS))
    path.write_text("\n".join(records), encoding="utf-8")
    return [str(path), "--id-field", "name", "--text-field", "body"]


def said(capsys, command, status=0):
    """Run a command, check how it ends, and give what it says."""
    capsys.readouterr()
    assert main([str(word) for word in command]) == status
    found = capsys.readouterr()
    return found.out + found.err


def hits(capsys, folder, model):
    found = json.loads(said(capsys, ["search", folder, "thin clay", "--json", "--model", model]))
    return [(hit["id"], pytest.approx(hit["score"], abs=0.01), hit["metadata"]) for hit in found["hits"]]


def test_shards_become_the_index_that_the_files_would_be(tmp_path, corpus, model, capsys):
    out, direct, index = tmp_path / "encoded", tmp_path / "direct", tmp_path / "index"
    encode = ["encode", *corpus, "--out", out, "--model", model, "--shard"]
    for shard in ("1/2", "0/2"):
        assert f"shard {shard}: " in said(capsys, [*encode, shard])
    assert "0 of them encoded now" in said(capsys, [*encode, "0/2"])
    assert "added 5 passages" in said(capsys, ["index", "--from-encoded", out, "--out", index])
    said(capsys, ["index", *corpus, "--out", direct, "--model", model])
    assert hits(capsys, index, model) == hits(capsys, direct, model)
    assert "added 0 passages" in (again := said(capsys, ["index", "--from-encoded", out, "--out", index]))
    assert "5 were stored already; it has 5" in again


def test_a_missing_shard_ends_the_command_before_there_is_an_index(tmp_path, corpus, model, capsys):
    out, index = tmp_path / "encoded", tmp_path / "index"
    said(capsys, ["encode", *corpus, "--out", out, "--shard", "0/2", "--model", model])
    assert "not finished: 1/2" in said(capsys, ["index", "--from-encoded", out, "--out", index], 1)
    assert not index.exists()
    assert "importance" in said(
        capsys, ["index", "--from-encoded", out, "--out", index, "--incomplete", "--importance"], 1
    )
    assert not index.exists()
    assert "added " in said(capsys, ["index", "--from-encoded", out, "--out", index, "--incomplete"])


def test_importance_is_kept_when_it_is_asked_for(tmp_path, corpus, model, capsys):
    out, index = tmp_path / "encoded", tmp_path / "index"
    said(capsys, ["encode", *corpus, "--out", out, "--importance", "--model", model])
    said(capsys, ["index", "--from-encoded", out, "--out", index, "--importance"])
    assert next(index.glob("segments/*/importance.u8")).stat().st_size > 0
    assert "leave config out" in said(capsys, ["index", "--from-encoded", out, "--out", index, "--words", "plain"], 2)


def test_an_index_of_another_model_refuses(tmp_path, corpus, model, capsys):
    out, index = tmp_path / "encoded", tmp_path / "index"
    other = str(tiny_checkpoint(tmp_path / "other", head=False))
    said(capsys, ["encode", *corpus, "--out", out, "--model", model])
    (tmp_path / "other" / "1_Dense" / "model.safetensors").write_bytes(
        bytearray((tmp_path / "other" / "1_Dense" / "model.safetensors").read_bytes()[:-1]) + b"\x3c"
    )
    said(capsys, ["index", *corpus, "--out", index, "--model", other])
    assert "was built with a model with the fingerprint" in said(
        capsys, ["index", "--from-encoded", out, "--out", index], 4
    )


@pytest.mark.parametrize("shard", ["2/2", "1", "-1/2"])
def test_what_is_no_shard_is_wrong_use(tmp_path, corpus, capsys, shard):
    command = ["encode", *corpus, "--out", tmp_path / "out", f"--shard={shard}"]
    assert "such as 0/16 for the first" in said(capsys, command, 2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option", [["--text-field", "body"], ["--keep-missing"], ["--dry-run"], ["--model", "x"], ["--device", "cpu"]]
)
def test_options_that_were_settled_by_encode_are_refused(tmp_path, capsys, option):
    command = ["index", "--from-encoded", tmp_path, "--out", tmp_path / "index", *option]
    assert "goes with --out" in said(capsys, command, 2).replace("\n", " ")


def test_incomplete_goes_with_encoded_files_only(tmp_path, corpus, capsys):
    assert "goes with --from-encoded" in said(capsys, ["index", *corpus, "--out", tmp_path / "i", "--incomplete"], 2)


def test_a_folder_without_shards_is_said(tmp_path, capsys):
    assert "run `fgr encode`" in said(capsys, ["index", "--from-encoded", tmp_path, "--out", tmp_path / "index"], 1)


def test_encoded_shards_make_a_folder_and_no_collection(tmp_path, capsys):
    command = ["index", "--from-encoded", tmp_path, "--out", "qdrant://localhost/passages"]
    assert "makes a folder; `fgr copy`" in said(capsys, command, 2)


def test_encoded_records_do_not_take_the_place_of_those_of_other_files(tmp_path, model, capsys):
    index = tmp_path / "index"
    for name, text in (("machines", "The lift."), ("rooms", "A pool.")):
        (tmp_path / f"{name}.csv").write_text(f"id,text\n1,{text}\n")
    files = [tmp_path / "machines.csv", tmp_path / "rooms.csv"]
    encode = ["encode", "--model", model, "--out"]
    told = said(capsys, [*encode, tmp_path / "both", *files], 1)
    assert f"'1' comes twice, in '{files[0]}' and in '{files[1]}': " in told
    for out, file in zip(("a", "b"), files, strict=True):
        said(capsys, [*encode, tmp_path / out, file])
    said(capsys, ["index", "--from-encoded", tmp_path / "a", "--out", index])
    told = said(capsys, ["index", "--from-encoded", tmp_path / "b", "--out", index], 1)
    assert f"'1' of '{files[1]}' is also that of a stored passage of '{files[0]}'" in told
    assert "1 were stored already; it has 1" in said(
        capsys, ["index", "--from-encoded", tmp_path / "a", "--out", index]
    )
    take = ["index", "--from-encoded", tmp_path / "b", "--out", index, "--take-over", files[0]]
    assert "updated 1; it has 1" in said(capsys, take)
    said(capsys, [*encode, tmp_path / "both", *files, "--ids-per-file"])
    assert "added 2 passages" in said(capsys, ["index", "--from-encoded", tmp_path / "both", "--out", index])


def test_what_is_left_out_of_a_folder_is_told(tmp_path, model, capsys):
    for name in ("a.md", "b.md", "c.png", ".d.md"):
        (tmp_path / "top" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "top" / name).write_text("text")
    out = tmp_path / "out"
    told = said(capsys, ["encode", tmp_path / "top", "--exclude", "b.*", "--model", model, "--out", out])
    assert "1 passages in" in told
    assert "unknown: 1 .png; left out: top/.d.md" in told
    assert "2 passages in" in said(
        capsys, ["encode", tmp_path / "top", "--exclude", "b.*", "--hidden", "--model", model, "--out", out]
    )
