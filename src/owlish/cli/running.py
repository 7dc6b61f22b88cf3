"""What commands set going: studies are chosen, what is missing is made, pages are written. It prints nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owlish.cli import find
from owlish.graph.files import replacing
from owlish.graph.run import make, plan
from owlish.graph.spec import Node, everything
from owlish.graph.store import Store
from owlish.nodes.models import Base
from owlish.study.comparison import Comparison
from owlish.study.study import Settings, Study


def split(names: str | None) -> list[str]:
    """Return the names between commas."""
    return [name.strip() for name in (names or "").split(",") if name.strip()]


def chosen(
    names: Sequence[str],
    *,
    traits: str | None = None,
    seeds: int | None = None,
    rows: int | None = None,
    epochs: int | None = None,
    base: str | None = None,
    data: Path | None = None,
    small: bool = False,
) -> list[Study]:
    """Return studies with the settings that the command line gives; `all` stands for every one that runs here."""
    known = find.all_traits()
    settings = Settings(
        traits=tuple(find.named(t, known, "trait") for t in split(traits)) or None,
        bases=tuple(Base(b) for b in split(base)) or None,
        runs=seeds,
        rows=rows,
        epochs=epochs,
        data=None if data is None else str(data),
    )
    shipped = [study for study in find.all_studies().values() if study.here] if "all" in names else []
    studies = [*shipped, *(find.study(name) for name in names if name != "all")]
    return [(study.small() if small else study).altered(settings) for study in studies]


def existing(folder: Path) -> Store:
    """Return the store in a folder that must be there."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not there: name the folder of a store with --store.")
    return Store(folder)


@dataclass(frozen=True)
class Finished:
    """Studies that were run: what each found, how many results that took, and how long."""

    found: tuple[tuple[Study, Comparison], ...]
    total: int
    computed: int
    seconds: float
    folder: Path

    def json(self) -> dict[str, Any]:
        """Return it as plain values: one study's own, or those of several in a list."""
        said = [study.summary(comparison) for study, comparison in self.found]
        nodes = {"total": self.total, "computed": self.computed}
        return {**(said[0] if len(said) == 1 else {"studies": said}), "nodes": nodes, "seconds": self.seconds}

    def __str__(self) -> str:
        told = [f"{study.title}\n{comparison}\n" for study, comparison in self.found]
        made = f"{self.computed} of {self.total} results made in {self.seconds:.1f} s, kept in {self.folder}."
        return "\n".join([*told, made])


def run_studies(studies: Sequence[Study], store: Store, jobs: int | None) -> Finished:
    """Make what studies lack, in one pool, and return what each found."""
    begun, targets = time.monotonic(), [study.target for study in studies]
    computed = made(targets, store, jobs)
    return Finished(
        found=tuple((study, store.read(study.target)) for study in studies),
        total=len({node.key for target in targets for node in everything(target)}),
        computed=computed,
        seconds=round(time.monotonic() - begun, 3),
        folder=store.root,
    )


def made(targets: Sequence[Node], store: Store, jobs: int | None) -> int:
    """Make what is missing, with a display, and return how many results were made."""
    from owlish.cli.progress import Display

    jobs, missing = jobs or os.cpu_count() or 1, plan(targets, store)
    if not missing:
        return 0
    with Display(jobs) as display:
        return make(missing, store=store, jobs=jobs, watch=display)


def check_page(page: Path | None) -> None:
    """Raise `ValueError` where a page has no folder: before the hours that its results take."""
    if page and not page.parent.is_dir():
        raise ValueError(f"{page.parent} is not there: give a file in a folder that is.")


def write_report(studies: Sequence[Study], store: Store, page: Path) -> None:
    """Write the page of studies whose results are there."""
    from owlish.report.fill import section
    from owlish.report.page import render

    write_page(render([section(study, store) for study in studies]), page)


def write_page(text: str, page: Path) -> None:
    """Write a page, whole or not at all."""
    with replacing(page) as file:
        file.write(text.encode())
