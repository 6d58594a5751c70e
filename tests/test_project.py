"""What holds for the project as a whole: names, versions, imports, packaging, house rules."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

import fgr_retriever
from fgr_retriever import Engine, Passage, demo

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for root in ("fgr_retriever", "integrations") for path in (ROOT / root).rglob("*.py"))
NAMESPACES = [
    "llama_index",
    "llama_index/retrievers",
    "llama_index/postprocessor",
    "llama_index/tools",
    "llama_index/vector_stores",
]
SOURCE_ROOTS = os.pathsep.join([str(ROOT), str(ROOT / "integrations")])


def run_python(code: str) -> str:
    """Run code in a fresh interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE_ROOTS},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def blocking(*packages: str) -> str:
    """Code that makes packages look as if they were not installed."""
    return textwrap.dedent(f"""
        import sys
        class Blocker:
            def find_spec(self, name, path=None, target=None):
                if any(name == package or name.startswith(package + ".") for package in {packages!r}):
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        sys.meta_path.insert(0, Blocker())
    """)


def test_public_names_are_sorted_and_all_there():
    names = fgr_retriever.__all__
    assert names == sorted(names)
    assert len(names) == len(set(names))
    assert dir(fgr_retriever) == names
    for name in names:
        assert getattr(fgr_retriever, name) is not None


def test_public_names_match_those_that_type_checkers_see():
    tree = ast.parse(Path(fgr_retriever.__file__).read_text(encoding="utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    homes = {alias.name: node.module for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert sorted([*homes, "__version__"]) == fgr_retriever.__all__
    for name, home in homes.items():
        assert getattr(fgr_retriever, name).__module__ == home


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Indexer'"):
        fgr_retriever.Indexer  # noqa: B018


def test_import_is_light():
    loaded = json.loads(run_python("import fgr_retriever, json, sys; print(json.dumps(sorted(sys.modules)))"))
    heavy = {"torch", "numpy", "transformers", "sentence_transformers", "typer"}
    assert not heavy & set(loaded)


def test_help_loads_no_model_code():
    code = """
    import json, sys
    from fgr_retriever.cli import main
    code = main(["serve", "--help"])
    print(json.dumps(sorted(sys.modules)))
    """
    loaded = json.loads(run_python(textwrap.dedent(code)).splitlines()[-1])
    assert "fgr_retriever.serve.config" in loaded
    assert not {"torch", "transformers", "sentence_transformers", "starlette", "fastapi"} & set(loaded)


def test_a_search_by_the_command_line_opens_the_embedded_model_alone(tmp_path):
    Engine.open(tmp_path / "index").add([Passage("curie", "Marie Curie discovered radium.")])
    code = f"""
    import json, sys
    from fgr_retriever.cli import main
    assert main(["search", {str(tmp_path / "index")!r}, "radium"]) == 0
    print(json.dumps(sorted(sys.modules)))
    """
    loaded = json.loads(run_python(textwrap.dedent(code)).splitlines()[-1])
    assert "fgr_retriever.model.embedded" in loaded
    assert not {"transformers", "sentence_transformers", "huggingface_hub", "torch._dynamo"} & set(loaded)


@pytest.mark.parametrize(
    "adapters",
    [
        ("langchain_fgr",),
        ("llama_index.retrievers.fgr", "llama_index.postprocessor.fgr", "llama_index.vector_stores.fgr"),
    ],
)
def test_importing_an_adapter_loads_no_model_code(adapters):
    pytest.importorskip(adapters[0])
    code = f"import {', '.join(adapters)}, json, sys; print(json.dumps(sorted(sys.modules)))"
    assert not {"torch", "transformers", "sentence_transformers"} & set(json.loads(run_python(code)))


def test_what_an_adapter_loads_later_is_there():
    langchain_fgr = pytest.importorskip("langchain_fgr")
    assert dir(langchain_fgr) == sorted(langchain_fgr.__all__)
    assert callable(langchain_fgr.evidence_tool)
    with pytest.raises(AttributeError, match="no attribute 'FGRTool'"):
        langchain_fgr.FGRTool  # noqa: B018


def test_engine_needs_no_framework():
    code = blocking("langchain_core", "langchain_fgr", "llama_index", "pydantic") + textwrap.dedent("""
        import fgr_retriever
        for name in fgr_retriever.__all__:
            getattr(fgr_retriever, name)
        print("imported")
    """)
    assert run_python(code) == "imported"


@pytest.mark.parametrize(
    ("adapter", "framework", "extra"),
    [
        ("langchain_fgr", "langchain_core", "langchain"),
        ("llama_index.retrievers.fgr", "llama_index.core", "llama-index"),
        ("llama_index.postprocessor.fgr", "llama_index.core", "llama-index"),
        ("llama_index.tools.fgr", "llama_index.core", "llama-index"),
        ("llama_index.vector_stores.fgr", "llama_index.core", "llama-index"),
        ("fgr_retriever.agents.mcp_server", "mcp", "mcp"),
    ],
)
def test_adapter_without_its_framework_names_the_extra(adapter, framework, extra):
    code = blocking(framework) + textwrap.dedent(f"""
        from fgr_retriever.errors import MissingExtraError
        try:
            import {adapter}
        except MissingExtraError as error:
            print(error.extra, "|", error)
    """)
    found, message = run_python(code).split(" | ")
    assert found == extra
    assert f"fgr-retriever[{extra}]" in message


def test_text_handling_needs_no_torch():
    code = blocking("torch") + textwrap.dedent("""
        from fgr_retriever.trim import budget, choice as trim
        from fgr_retriever.text import sentences
        from fgr_retriever.evidence import spans
        from fgr_retriever import types
        print("imported")
    """)
    assert run_python(code) == "imported"


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_namespaces_stay_open(namespace):
    folder = ROOT / "integrations" / namespace
    assert folder.is_dir()
    assert not (folder / "__init__.py").exists()
    assert not (folder / "py.typed").exists()


def test_integrations_is_a_source_root():
    assert not (ROOT / "integrations" / "__init__.py").exists()


@pytest.mark.parametrize(
    "package",
    [
        "fgr_retriever",
        "integrations/langchain_fgr",
        "integrations/llama_index/retrievers/fgr",
        "integrations/llama_index/postprocessor/fgr",
        "integrations/llama_index/tools/fgr",
        "integrations/llama_index/vector_stores/fgr",
    ],
)
def test_packages_say_that_they_are_typed(package):
    assert (ROOT / package / "py.typed").exists()


def test_changelog_has_this_version_first():
    versions = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    released = [version for version in versions if version != "Unreleased"]
    assert released[0] == fgr_retriever.__version__


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_house_rules(path):
    text = path.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(text)))
    assert len(text.splitlines()) <= 300
    assert not [node.lineno for node in nodes if isinstance(node, ast.Assert)], "no assert in shipped code"
    calls = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"eval", "exec"}
    if "cli" not in path.parts:
        assert "print" not in calls
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert not imported & {"pickle", "shelve", "marshal"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_are_short(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False) or ""
            code_lines = node.end_lineno - node.lineno + 1 - len(docstring.splitlines())
            assert code_lines <= 50, f"{node.name} has {code_lines} lines"


def test_every_import_is_a_declared_dependency():
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8").lower().replace("-", "_")
    distributions = {
        "faiss": "faiss_cpu",
        "llama_index": "llama_index_core",
        "opentelemetry": "opentelemetry_api",
        "pptx": "python_pptx",
        "stemmer": "pystemmer",
        "yaml": "pyyaml",
        "pytrec_eval": "pytrec_eval_terrier",
    }
    with_it = {  # comes with, and only with, the distribution that needs it
        "accelerate": "sentence_transformers",
        "datasets": "sentence_transformers",
        "grpc": "qdrant_client",
        "httpx": "cohere",
        "huggingface_hub": "transformers",
        "pydantic": "langchain_core",
        "llama_index_instrumentation": "llama_index_core",
    }
    own = {"fgr_retriever", "langchain_fgr", "__future__"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module]
            else:
                continue
            for module in modules:
                top = module.split(".")[0].lower()
                name = distributions.get(top) or with_it.get(top) or top
                known = top in own or top in sys.stdlib_module_names
                assert known or re.search(rf'"{name}[>\[]', declared), f"{path.name} imports {module}"


def test_demo_passages_can_be_indexed_and_are_long_enough_to_trim():
    passages = demo.passages()
    assert 190 <= len(passages) <= 220
    assert len({passage.id for passage in passages}) == len(passages)
    assert len({passage.metadata["subject"] for passage in passages}) >= 10
    for passage in passages:
        assert passage.id
        assert passage.metadata["title"]
        assert 60 <= len(passage.text.split()) <= 150
        assert passage.text == passage.text.strip()


def test_demo_questions_are_distinct_questions():
    questions = demo.questions()
    assert 8 <= len(set(questions)) == len(questions) <= 10
    assert all(question.endswith("?") for question in questions)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this working tree, opened."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def test_wheel_has_the_import_names(wheel):
    names = wheel.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "fgr_retriever",
        "langchain_fgr",
        "llama_index",
    }
    expected = {
        "fgr_retriever/__init__.py",
        "fgr_retriever/py.typed",
        "fgr_retriever/demo/corpus.jsonl",
        "fgr_retriever/demo/questions.json",
        "langchain_fgr/__init__.py",
        "langchain_fgr/py.typed",
        "llama_index/retrievers/fgr/__init__.py",
        "llama_index/retrievers/fgr/py.typed",
        "llama_index/postprocessor/fgr/__init__.py",
        "llama_index/postprocessor/fgr/py.typed",
        "llama_index/tools/fgr/__init__.py",
        "llama_index/tools/fgr/py.typed",
        "llama_index/vector_stores/fgr/__init__.py",
        "llama_index/vector_stores/fgr/py.typed",
    }
    assert expected <= set(names)
    assert not [name for name in names if name in {f"{namespace}/__init__.py" for namespace in NAMESPACES}]


def test_wheel_has_everything_of_the_packages_and_nothing_else(wheel):
    shipped = {name for name in wheel.namelist() if name.endswith(".py")}
    sources = {str(path.relative_to(ROOT)).replace("\\", "/").removeprefix("integrations/") for path in SOURCES}
    assert shipped == sources
    assert not [name for name in wheel.namelist() if "__pycache__" in name]


def test_wheel_metadata(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = wheel.read(name).decode()
    assert f"Version: {fgr_retriever.__version__}" in metadata
    assert "License-Expression: Apache-2.0" in metadata
    assert "License-File: NOTICE" in metadata
    assert "==" not in "".join(re.findall(r"^Requires-Dist: ([^;\n]+)", metadata, re.MULTILINE)), "ranges, not pins"
    (entries,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "fgr = fgr_retriever.cli:main" in wheel.read(entries).decode()


def test_the_page_on_pypi_has_no_relative_links(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = wheel.read(name).decode()
    assert "Project-URL: Homepage, https://" in metadata
    links = re.findall(r"\]\(([^)]+)\)", metadata.partition("\n\n")[2])
    assert len(links) > 20
    assert not [link for link in links if not link.startswith(("https://", "#"))]


def test_the_listing_of_the_package_can_be_taken_in_at_a_glance():
    package = ROOT / "fgr_retriever"
    assert len([path for path in package.iterdir() if path.name != "__pycache__"]) <= 23
    for room in (
        "text",
        "model",
        "index",
        "index/codec",
        "index/storage",
        "index/search",
        "evidence",
        "search",
        "trim",
    ):
        told = ast.get_docstring(ast.parse((package / room / "__init__.py").read_text(encoding="utf-8")))
        assert told is not None
        assert all(word in told for word in ("In: ", "Out: "))


def test_contributing_sends_nobody_to_a_file_that_is_not_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .+ \| (.+) \|$", text.partition("I want to change")[2].partition("## ")[0], re.MULTILINE)
    paths = [path for row in rows for path in re.findall(r"`([\w/.]+/[\w/.]*)`", row)]
    assert len(paths) >= 10
    for path in paths:
        places = [ROOT / path, ROOT / "fgr_retriever" / path]
        assert any(place.exists() for place in places) or "KIND" in path or "COMMAND" in path, path
