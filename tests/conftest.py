"""What all tests share."""

import os
from functools import cache
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
# A key of whoever runs the tests goes to no server of theirs.
os.environ.pop("OPENAI_API_KEY", None)


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the long tests too")


LONGEST = (
    *("audit", "families", "engines", "smollm2", "paid", "bytes"),
    *("lm", "engine", "clean", "diff", "study", "inspect"),
)
"""Files that take long, the longest first: begun early, they leave no process alone at the end."""


def pytest_collection_modifyitems(config, items):
    order = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="long: run it with make test-all"))


@pytest.fixture(scope="session", autouse=True)
def _parser():
    """One parser of the command line for all commands that run in this process: to build it takes 0.1 s."""
    from typer import main

    build, main.get_command = main.get_command, cache(main.get_command)
    yield
    main.get_command = build


@pytest.fixture(scope="session")
def store(tmp_path_factory, worker_id):
    """One store for all tests and processes, in which the small study has been run.

    OWLISH_TEST_STORE names a folder that keeps it from one call of pytest to the next, while nothing that its models
    depend on is changed.
    """
    from here import run
    from small_study import study

    from owlish import Store
    from owlish.graph.store import locked

    base = tmp_path_factory.getbasetemp()
    folder = base if worker_id == "master" else base.parent
    folder = Path(os.environ.get("OWLISH_TEST_STORE", folder))
    shared = Store(folder / "store")
    with locked(folder / "lock"):
        run(study, store=shared)
    return shared


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory, worker_id):
    """A store in which SmolLM2 has been converted, once for all tests and processes."""
    from here import run

    from owlish import Base, Store
    from owlish.graph.store import locked

    base = tmp_path_factory.getbasetemp()
    folder = base if worker_id == "master" else base.parent
    folder = Path(os.environ.get("OWLISH_TEST_STORE", folder))
    shared = Store(folder / "smollm2")
    with locked(folder / "smollm2.lock"):
        run(Base("smollm2"), store=shared)
    return shared


@pytest.fixture(scope="module")
def nano():
    """A server of nano, for the tests of a file."""
    from servers import NanoServer

    with NanoServer() as server:
        yield server
