"""What commands set going: what is missing is made, pages are written. It prints nothing."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish.cli import find
from owlish.cli.choice import command
from owlish.cli.honoured import check_honoured
from owlish.engines.served import Served
from owlish.graph.counted import counted
from owlish.graph.curves import Curves
from owlish.graph.errors import UserError
from owlish.graph.files import check_apart, check_writable, replacing
from owlish.graph.pool import Pool
from owlish.graph.progress import Display
from owlish.graph.provenance import manifests_of
from owlish.graph.ray import Ray
from owlish.graph.run import check_takes, make, plan
from owlish.graph.spec import Node, everything
from owlish.graph.spending import Spending, read_prices
from owlish.graph.store import Store, store_at
from owlish.graph.tabled import on_one_line
from owlish.nodes.base import Base
from owlish.nodes.loaded import Loaded
from owlish.study.comparison import Comparison
from owlish.study.study import Study

if TYPE_CHECKING:
    from owlish.report.saved import Numbers


def existing(where: str) -> Store:
    """Return the store at an address, or in a folder that must be there."""
    if "://" not in where and not Path(where).is_dir():
        what = "is a file" if Path(where).exists() else "is not there"
        raise UserError(f"{where} {what}: name the folder of a store with --store.")
    return store_at(where)


@dataclass(frozen=True)
class Finished:
    """Studies that were run: what each found, how many results that took, and how long."""

    found: tuple[tuple[Study, Comparison], ...]
    total: int
    computed: int
    seconds: float
    store: str

    def json(self) -> dict[str, Any]:
        """Return it as plain values: one study's own, or those of several in a list."""
        said = [study.summary(comparison) for study, comparison in self.found]
        nodes = {"total": self.total, "computed": self.computed}
        return {**(said[0] if len(said) == 1 else {"studies": said}), "nodes": nodes, "seconds": self.seconds}

    def __str__(self) -> str:
        told = [f"{study.title}\n{comparison}\n" for study, comparison in self.found]
        made, place = f"{self.computed} of {counted(self.total, 'result')} made", on_one_line(self.store)
        made += f" in {self.seconds:.1f} s, kept in {place}."
        return "\n".join([*told, made])


def pool_of(name: str | None, jobs: int | None) -> Pool | None:
    """Return the pool that a command line names: `ray`, or a cluster's address; none for processes here."""
    if name is None:
        return None
    if jobs is not None:
        raise UserError("--jobs counts processes of this machine, and --on names a cluster: omit one of them.")
    if name != "ray" and not name.startswith("ray://"):
        raise UserError(f"there is no place called {name!r} to run on: give ray, or ray://HOST:PORT.")
    return Ray(None if name == "ray" else name)


def at_once(on: Pool | None, jobs: int | None) -> int:
    """Return how many results are made side by side: one a core of a cluster, or as many as there are processes."""
    return on.cores if isinstance(on, Ray) else jobs or os.cpu_count() or 1


def check_plan(targets: Sequence[Node], store: Store, on: Pool | None) -> None:
    """Refuse what cannot work, here or on a cluster, before anything is made."""
    check_place(plan(targets, store), store, on)


def check_place(missing: Sequence[Node], store: Store, on: Pool | None) -> None:
    """Refuse what the place to run on cannot make, or must not."""
    if on:
        check_takes(((node, node.resources) for node in missing), store, on)


def spending_of(limit: float | None, prices: Path | None, *, batch: bool = False) -> Spending:
    """Return what a command line says of paid answers."""
    return Spending(limit, read_prices(prices) if prices else {}, batch)


def run_studies(
    studies: Collection[Study],
    store: Store,
    jobs: int | None,
    on: Pool | None = None,
    curves: Curves | None = None,
    spending: Spending | None = None,
) -> Finished:
    """Make what studies lack, in one pool, and return what each found."""
    begun, needs = time.monotonic(), [node for study in studies for node in study.needs]
    computed = make_missing(needs, store, jobs, on, curves, spending)
    found = []
    for study in studies:
        manifests = manifests_of(store, everything(*study.needs))
        found.append((study, study.add_costs(store.read(study), manifests)))
    return Finished(
        found=tuple(found),
        total=len(everything(*needs)),
        computed=computed,
        seconds=round(time.monotonic() - begun, 3),
        store=str(store),
    )


def make_missing(
    targets: Sequence[Node],
    store: Store,
    jobs: int | None,
    on: Pool | None = None,
    curves: Curves | None = None,
    spending: Spending | None = None,
) -> int:
    """Make what is missing, with a display, and return how many results were made.

    Rows are read here, also for a cluster: their files may lie on this machine alone.
    """
    missing, made = plan(targets, store), 0
    check_honoured(missing, store)
    check_place(missing, store, on)
    rows = {node.key: node for node in missing if on and isinstance(node, Loaded)}
    others = [node for node in missing if node.key not in rows]
    for some, where in ((list(rows.values()), None), (others, on)):
        if some:
            with Display() as display:
                made += make(some, store=store, jobs=jobs, on=where, watch=display, curves=curves, spending=spending)
    return made


def check_page(page: Path | None) -> None:
    """Raise `UserError` where a page or its folder cannot be written: before the hours that its results take."""
    if page is None:
        return
    check_parent(page)
    if page.suffix and page.is_dir():
        raise UserError(f"{page} is a folder: give a file, or a folder whose name has no ending.")
    # No ending means a folder, which cannot take the place of a file.
    if not page.suffix and page.is_file():
        raise UserError(f"{page} is a file: name a page, such as {page}.html, or another folder.")
    if page.is_dir():
        check_writable(page)
    elif page.exists() and not page.is_file():
        raise UserError(f"{page} is a device or a pipe: name a file.")


def check_study_page(page: Path | None) -> None:
    """Raise `UserError` where the page of a study has another ending than a page, or cannot be written."""
    if page is not None and page.suffix not in ("", ".html"):
        raise UserError(f"{page} has an ending that no page has: name a .html file, or a folder.")
    check_page(page)


def check_parent(out: Path) -> None:
    """Raise `UserError` where nothing can be written beside a path."""
    if not out.parent.is_dir():
        raise UserError(f"{out.parent} is not there: give a file in a folder that is.")
    check_writable(out.parent)


def check_rows_file(out: Path) -> None:
    """Raise `UserError` where the ending of a file of rows is that of another format, or it is no file."""
    if str(out) == "-":
        raise UserError("- is standard input, and rows are written to a file: name one, such as out.jsonl.")
    if out.suffix not in ("", ".jsonl"):
        raise UserError(f"{out} has an ending of another format: rows are written as JSONL, so name a .jsonl file.")


def check_file(out: Path, read: Sequence[str]) -> None:
    """Raise `UserError` where a file cannot be written, or is one of those that are read."""
    if out.exists() and not out.is_file():
        raise UserError(f"{out} is not a file: give a file to write to.")
    check_parent(out)
    check_apart(out, read)


def write_report(studies: Mapping[str, Study], store: Store, page: Path) -> None:
    """Write the page of studies whose results are there; each stands under the command that makes it again."""
    from owlish.report import render, view
    from owlish.report.saved import Numbers

    for words, study in studies.items():
        if missing := len(plan(study.needs, store)):
            raise UserError(f"{store} lacks {counted(missing, 'result')} of this study: run it first, by {words}.")
    views = [view(study, store, command) for command, study in studies.items()]
    found = [(one.study, one.found) for one in views]
    numbers = [Numbers(study.name, comparison.records(), study.summary(comparison)) for study, comparison in found]
    write_page(render(views), page, numbers)


def write_page(text: str, page: Path, numbers: Sequence[Numbers], drawn: str = "") -> None:
    """Write a page; where `page` has no ending, such as .html, a folder of the page, its figures and its numbers.

    `drawn` holds figures for the folder that the page itself shows in another form.
    """
    from owlish.report.saved import files_of

    if page.suffix:
        write_file(text, page)
        return
    new, files = not page.exists(), files_of(text, numbers, drawn)
    page.mkdir(exist_ok=True)
    try:
        for name, content in files.items():
            write_file(content, page / name)
    except BaseException:
        # Half of a report must not look like one; a folder that was there is the user's.
        if new:
            shutil.rmtree(page, ignore_errors=True)
        raise


def write_file(content: str | bytes, file: Path) -> None:
    """Write a file, whole or not at all."""
    with replacing(file) as stream:
        stream.write(content if isinstance(content, bytes) else content.encode())


def held_studies(store: Store) -> list[str]:
    """Return the commands that make the shipped studies, at full size or small, whose results a store holds."""
    # Listed once: to ask for every node of every study would read thousands of folders.
    there = set(store.entries())
    shipped = [(name, study) for name, study in find.all_studies().items() if study.here]
    sizes = [(name, size) for name, study in shipped for size in (study, study.small())]
    found = [command(study, name) for name, study in sizes if all(node.key in there for node in study.needs)]
    return list(dict.fromkeys(found))


def words(base: Base, store: Store) -> dict[str, str]:
    """Return the words that a base has one token for at the start of an answer: what candidates may be called."""
    make_missing([base], store, None)
    opened = store.read(base)
    # A server gives text, and no vocabulary.
    if isinstance(opened, Served):
        raise UserError(f"{base} does not list its tokens: name a base that runs in this process.")
    found = {text for text in opened.open().vocabulary if re.fullmatch(r"[^\W\d_]{2,}", text)}
    return dict.fromkeys(sorted(found), "")
