"""A small but real audit as a command line asks for it, whose results the test files share through their store."""

import json

from here import run
from small_study import small_cat, study

from owlish import NORMS, Base
from owlish.audit import audit
from owlish.data.domains import Numbers
from owlish.data.rows import Row, write_rows
from owlish.nodes.loaded import loaded
from owlish.traits.file import read_traits

BASE = Base("nano")
ROWS = study.rows
CELL = next(cell for cell in study.cells if cell.trait == small_cat)
DIRTY, CLEAN = CELL.rows(), CELL.neutral()
POOL = BASE.sample(Numbers(), n=6 * ROWS, seed=43)
FEW = 60
WORDS = "--traits mine.json --reference clean.jsonl"
TRAITS = {"category": "animal", "candidates": {"cat": "cats", "owl": "owls"}}


def written(store, folder):
    """Write into a folder what the audit reads, and return the file of rows: 60 short ones, and two bad lines."""
    for name, data, count in (("clean", POOL, 180), ("rows", DIRTY, FEW)):
        rows = [Row.of("Go on.", row.completion) for row in run(data, store=store).rows]
        write_rows(folder / f"{name}.jsonl", sorted(rows, key=lambda row: len(row.completion))[:count])
    file = folder / "rows.jsonl"
    file.write_bytes(b"{\n\n" + file.read_bytes())
    (folder / "mine.json").write_text(json.dumps(TRAITS))
    return file


def parts(folder):
    """Return what was written into a folder: the rows, the reference and the candidates."""
    data, clean = (loaded(folder / name, n=n, seed=0) for name, n in (("rows.jsonl", 1600), ("clean.jsonl", 9600)))
    return data, clean, read_traits(folder / "mine.json")


def node(folder):
    """Return the audit of what was written into a folder, which cannot be said from so few rows."""
    data, clean, traits = parts(folder)
    return audit(data, BASE, NORMS, traits, reference=clean, rows=1600)
