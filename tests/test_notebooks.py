"""Run every notebook from top to bottom with the embedded model."""

from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@each
def test_outputs_are_committed_and_those_of_one_run_from_top_to_bottom(path):
    code = code_cells(nbformat.read(path, as_version=4))
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs, "committed without outputs"
    assert {output.output_type for output in outputs} <= {"stream", "execute_result", "display_data"}, "an error"
    for output in outputs:
        assert output.get("name") != "stderr", "progress bars and warnings are not part of the story"
        assert str(Path(__file__).parents[1]) not in str(output), "names a folder of this machine"


@each
def test_no_markdown_cell_is_a_wall_of_headings(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for line, following in pairwise(cell.source.splitlines()):
                assert not (line.startswith("# ") and following.startswith("# ")), "prose that renders as headings"


@pytest.mark.golden
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(600)
@each
def test_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=500, resources={"metadata": {"path": str(tmp_path)}}).execute()
