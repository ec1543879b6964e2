"""The report notebooks run from top to bottom, and are kept without outputs."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from mercurios.config import ROOT
from tests.conftest import World

NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
REPORTS = [path for path in NOTEBOOKS if path.parent.name == "reports"]


def test_there_is_one_report_per_domain() -> None:
    assert [path.stem for path in REPORTS] == ["forecasting", "orders", "recommender", "sales"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    assert cells[0]["cell_type"] == "markdown", "a notebook opens with its question"
    for cell in cells:
        assert not cell.get("outputs"), f"strip the outputs of {path}"
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_a_report_runs(path: Path, world: World) -> None:
    notebook = nbformat.read(path, as_version=4)
    done = NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
    last = [cell for cell in done.cells if cell.cell_type == "code"][-1]
    text = "".join(output.get("text", "") for output in last.outputs)
    assert text.strip(), "the last cell prints the answer"
