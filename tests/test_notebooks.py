"""The notebooks of examples/ run as they stand, and `run` draws one bar in a notebook."""

import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")

EXAMPLES = Path(__file__).parents[1] / "examples"
TOY = f"""
import sys
sys.path.append({str(Path(__file__).parent)!r})
from toys import tower
from owlish import run
run(tower(), store="store", jobs=1)
"""


def executed(book, folder, monkeypatch):
    """Return a notebook after it ran in a folder; a cell that raises fails the test."""
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    resources = {"metadata": {"path": str(folder)}}
    return nbclient.NotebookClient(book, timeout=1800, kernel_name="python3", resources=resources).execute()


def outputs(book):
    """Return what a notebook's cells put out."""
    return [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]


def said(book):
    """Return how the plain text of each output starts, but for progress: how long a run took, and what it is of."""
    found = [str(one.get("text") or one.get("data", {}).get("text/plain", "")) for one in outputs(book)]
    return [text[:40] for text in found if "results, made in" not in text]


@pytest.mark.slow
def test_the_first_cells_of_a_notebook_run_and_show_what_it_keeps(tmp_path, monkeypatch):
    """A trait of one's own is taught and read: two results of real models."""
    kept = nbformat.read(EXAMPLES / "your_own_trait.ipynb", as_version=4)
    first = nbformat.from_dict({**kept, "cells": kept.cells[:4]})
    shown = said(first)
    assert len(shown) == 3
    assert said(executed(first, tmp_path, monkeypatch)) == shown


@pytest.mark.slow
@pytest.mark.parametrize("name", ["owl", "audit_your_file", "your_own_trait"])
def test_a_notebook_runs_and_shows_what_it_keeps(name, tmp_path, monkeypatch):
    kept = said(nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4))
    made = executed(nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4), tmp_path, monkeypatch)
    assert said(made) == kept
    assert any("image/png" in one.get("data", {}) for one in outputs(made))
    if name == "audit_your_file":
        assert any("FOUND" in str(one) and "cat" in str(one) for one in outputs(made))


@pytest.mark.parametrize("name", ["owl", "audit_your_file", "your_own_trait"])
def test_what_a_notebook_keeps_is_small_and_names_no_folder_of_ours(name):
    text = (EXAMPLES / f"{name}.ipynb").read_text()
    assert len(text) < 200_000
    assert not re.search(r"(/home|/tmp|/work|/root|/Users)/|Warning|Traceback", text)
    book = nbformat.reads(text, as_version=4)
    nbformat.validate(book)
    assert not [one for one in outputs(book) if one.get("name") == "stderr"]


@pytest.mark.slow
def test_a_run_in_a_notebook_has_one_bar_that_changes(tmp_path, monkeypatch):
    book = executed(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TOY)]), tmp_path, monkeypatch)
    bar, result = outputs(book)
    assert bar.output_type == "display_data"
    assert re.fullmatch(r"13 of 13 results, made in 0:\d\d\.", bar["data"]["text/plain"])
    assert re.fullmatch(r"<p>13 of 13 results, made in 0:\d\d\.</p>", bar["data"]["text/html"])
    assert result.output_type == "execute_result"
