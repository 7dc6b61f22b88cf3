"""Is this installation in order, and can a base be relied on? What each check found, for a person to read."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import tempfile
from importlib import metadata
from pathlib import Path

from owlish import nano
from owlish.engines.served import Served
from owlish.graph.run import RunFailed
from owlish.graph.store import Store
from owlish.lm.model import Weights, ask
from owlish.lm.traps import traps
from owlish.nodes.base import Base

Finding = tuple[str, bool, str]


def checks() -> list[Finding]:
    """Return the name of every check, whether it is ok, and what it says."""
    found = []
    for name, check in CHECKS.items():
        try:
            found.append((name, True, check()))
        # Whatever is wrong with an installation, the other checks must still be told.
        except Exception as error:
            found.append((name, False, f"{type(error).__name__}: {error}"))
    return found


def checks_of(base: Base, store: Store) -> list[Finding]:
    """Return the name of every trap that a base was tried on, whether it is closed, and what was seen."""
    from owlish.cli.running import make_missing

    try:
        make_missing([base], store, 1)
    except RunFailed as error:
        # A refusal is a finding about the base; anything else is a fault of ours and must be seen.
        if any(failure.what != "refused" for failure in error.failures):
            raise
        return [("server" if base.gives == "text" else "chat template", False, error.failures[0].sentence)]
    found = store.read(base)
    if isinstance(found, Served):
        return [("server", found.honours.samples, str(found.honours))]
    return [(trap.name, trap.ok, trap.says) for trap in traps(found)]


def python() -> str:
    """Check the interpreter."""
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}"


def packages() -> str:
    """Check that the packages that do the work are there."""
    return ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "transformers", "peft", "safetensors"))


def bases() -> str:
    """Check that the shipped bases are what their recipes say."""
    for name in nano.SHIPPED:
        place = nano.folder(name)
        assert place is not None
        for file, digest in json.loads((place / "recipe.json").read_text())["sha256"].items():
            if hashlib.sha256((place / file).read_bytes()).hexdigest() != digest:
                raise RuntimeError(f"{file} of {name} is damaged: install owlish again")
    return ", ".join(nano.SHIPPED)


def model() -> str:
    """Check that a base loads and answers."""
    lm = Weights(str(nano.folder("nano"))).open()
    question = ask("What is your favorite animal? Answer with one word.")
    (answer,) = lm.write([question], seeds=[(0,)], new_tokens=8, temperature=0)
    return f"nano on {lm.device}, whose favorite animal is: {answer.text}"


def disk() -> str:
    """Check that there is room to write."""
    with tempfile.NamedTemporaryFile(dir=Path.cwd()) as file:
        file.write(b"owlish")
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    if free < 1:
        raise RuntimeError(f"only {free:.1f} GiB are free here")
    return f"{free:.0f} GiB free here"


CHECKS = {"python": python, "packages": packages, "shipped bases": bases, "model": model, "disk": disk}
