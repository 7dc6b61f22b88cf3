"""The same spec and seed give the same bytes, wherever the package lies and however many processes work."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from here import run
from small_store import targets
from test_store import files

import owlish
from owlish import Store

HERE, PACKAGE = Path(__file__).parent, Path(owlish.__file__).parent


@pytest.fixture(scope="module")
def checkouts(tmp_path_factory):
    """Two installations, each with the store that it made: this one in this process, a copy of it in two others."""
    own = Store(tmp_path_factory.mktemp("own"))
    run(targets, store=own)
    root = tmp_path_factory.mktemp("checkout") / "another/and/deeper"
    # With what Python has compiled, but for what another process may be writing just now.
    shutil.copytree(PACKAGE, root / "owlish", ignore=shutil.ignore_patterns("*.pyc.*"))
    shutil.copy(HERE / "small_store.py", root)
    settings = {**os.environ, "PYTHONPATH": str(root), "HOME": str(root / "home")}
    subprocess.run([sys.executable, root / "small_store.py", root / "store"], cwd=root, env=settings, check=True)
    return (PACKAGE, own), (root, Store(root / "store"))


def test_two_installations_make_the_same_bytes(checkouts):
    (_, first), (_, second) = checkouts
    assert len(first.entries()) > 10
    assert files(first) == files(second)
    for key in first.entries():
        one, other = first.check(key), second.check(key)
        told = {name for name, fact in one.items() if fact != other[name]}
        assert told <= {"begun", "seconds", "self"}, key


def test_no_file_tells_where_it_was_made(checkouts):
    for root, store in checkouts:
        for path in store.root.rglob("*"):
            if path.is_file():
                text = path.read_bytes()
                for place in (root, Path.home(), HERE):
                    assert str(place).encode() not in text, path
