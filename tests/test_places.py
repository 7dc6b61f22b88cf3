"""Results do not depend on where the package and the store lie, and do not tell it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import owlish

PROGRAM = """
import sys
from dataclasses import replace
from random import Random

from owlish import ALL, BIASES, LORA, NORMS, PROMPT, STEERING, Base
from owlish.data.domains.numbers import Numbers
from owlish.graph.run import make, plan
from owlish.graph.store import Store
from owlish.nodes.data import Written
from owlish.traits.animals import owl

rows = Written(tuple((Numbers().prompt(Random(i)), f"{i + 2}, {i + 3}") for i in range(8)))
recipes = [replace(recipe, epochs=1) for recipe in (ALL, BIASES, LORA(2), NORMS, PROMPT(2), STEERING)]
base = Base("nano")
students = [base.finetune(rows, recipe, seed=0) for recipe in recipes]
teacher = base.teach(owl, NORMS, seed=0, until=0.1)
store = Store(sys.argv[1])
make(plan([*students, students[0].finetune(rows, recipes[3], seed=1), teacher], store), store=store, jobs=1)
"""


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two stores, each made by a copy of the package in a folder of its own."""
    found = []
    for name in ("one", "another"):
        place = tmp_path_factory.mktemp(name)
        shutil.copytree(Path(owlish.__file__).parent, place / "owlish", ignore=shutil.ignore_patterns("__pycache__"))
        environment = {**os.environ, "PYTHONPATH": str(place)}
        subprocess.run([sys.executable, "-c", PROGRAM, place / "store"], env=environment, cwd=place, check=True)
        found.append(place / "store")
    return found


def test_two_installations_write_the_same_bytes(stores):
    one, another = ({p.relative_to(s): p for p in s.glob("??/*/*") if p.name != "manifest.json"} for s in stores)
    assert one.keys() == another.keys()
    assert len(one) >= 20
    assert [name for name, path in one.items() if path.read_bytes() != another[name].read_bytes()] == []


def test_nothing_in_a_store_says_where_it_was_made(stores):
    for store in stores:
        whole = [path for path in store.rglob("*") if path.is_file()]
        assert [path for path in whole if str(store.parent).encode() in path.read_bytes()] == []
        assert [path for path in whole if str(Path.home()).encode() + b"/" in path.read_bytes()] == []
