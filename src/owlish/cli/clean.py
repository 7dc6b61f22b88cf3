"""A cleaning as a command line asks for it: methods by name, one after the other, and what is written of them."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from owlish.audit.audit import token_scores
from owlish.audit.reference import Answered
from owlish.audit.words import check_words
from owlish.clean.cleaned import Cleaned, CleanRows
from owlish.clean.lift import Lift
from owlish.clean.lists import OfLists, all_lists
from owlish.clean.method import Method, Order, check_budget
from owlish.clean.replace import Replace
from owlish.clean.weighing import Weighing
from owlish.cli import find
from owlish.cli.choice import split
from owlish.cli.running import check_file, check_rows_file
from owlish.data.rows import Row, line_of
from owlish.data.stamp import check_stamps
from owlish.graph.counted import counted
from owlish.graph.errors import UserError
from owlish.graph.files import replacing
from owlish.graph.store import Store
from owlish.graph.tabled import on_one_line
from owlish.lm.lacking import MOST
from owlish.lm.model import Weights
from owlish.lm.recipes import Recipe
from owlish.nodes.base import Base
from owlish.nodes.data import Data, Dataset
from owlish.nodes.loaded import Loaded
from owlish.traits.trait import Trait

ALL_ROWS = 1_000_000_000
NAMED = 5
"""The rows with words that the base lacks that are named."""
AT_TRAINING = {"mask": "Masked", "anchor": "Anchored", "corridor": "Corridor", "carrier": "Relieved"}
"""Defences that change no row, and the students in `owlish.nodes.defended` that are trained with them."""


def order_cleaning(data: Data, names: list[str], order: Order) -> Cleaned:
    """Return data cleaned by the methods of these names, one after the other."""
    check_budget(order.share)
    for name in names:
        if trained := next((k for n, k in AT_TRAINING.items() if name.lower() in (n, k.lower())), None):
            raise UserError(
                f"{name} changes no row: it is done while a student is trained, by {trained} of "
                "owlish.nodes.defended. Choose another method for rows (see owlish list methods)."
            )
    chosen = [find.pick(name, find.all_methods(), "method") for name in names]
    for method in chosen:
        check_needs(method, order)
    # All refusals come before any value is made, and so before any model works.
    check_used(chosen, order)
    first, *others = chosen
    cleaned = Cleaned(data, first.of(order, data), order.seed)
    for method in others:
        # With the rows as the methods before left them: weights are those of the rows that it will change.
        cleaned = Cleaned(cleaned, method.of(order, cleaned), order.seed)
    return cleaned


def weigh_by(
    base: Base, recipe: Recipe, trait: Trait | None, known: Collection[Trait], seed: int
) -> Callable[[Data], Weighing]:
    """Return what weighs the tokens of some rows: the audit's scores for a trait, or without one a trial student.

    A trait is read beside the others of its category that are `known`. The student is compared with one of the base's
    own answers to the same prompts.
    """

    def weigh(data: Data) -> Weighing:
        if trait is not None:
            # All candidates of the probe: a direction is centred over them, and alone a trait would have none.
            alike = {one.name: one for one in known if one.probe == trait.probe}
            check_words(base, tuple(alike.values()))
            scores = token_scores(data, base, recipe, tuple(alike.values()), toward=trait, rows=ALL_ROWS)
            return Weighing(scores, base, scores.teacher)
        own = Answered(base, data, ALL_ROWS, seed)
        student, control = (base.finetune(rows, recipe, seed=seed) for rows in (data, own))
        return Weighing(Lift(data, student, control), control, student)

    return weigh


def check_needs(method: type[Method], order: Order) -> None:
    """Refuse a method that is not given what it needs."""
    if "base" in method.needs and order.base is None:
        raise UserError(f"{method.kind} works with the base that would be trained: name it with --base.")
    if "trait" in method.needs and order.trait is None:
        raise UserError(f"{method.kind} must know the trait: name it with --trait.")
    if "model" in method.needs and order.other is None:
        raise UserError(f"{method.kind} needs another base: name it with --by.")
    if "model" in method.needs and order.other == order.base:
        raise UserError(f"{method.kind} needs a base of another initialisation, and --by names the same one.")


def check_used(methods: Sequence[type[Method]], order: Order) -> None:
    """Refuse what no method uses: the card would say that rows were cleaned of a trait that nothing looked at."""
    needs = {need for method in methods for need in method.needs}
    if order.trait is not None and not needs & {"trait", "weights"}:
        raise UserError("none of these methods looks at a trait: omit --trait.")
    if order.other is not None and "model" not in needs:
        raise UserError("none of these methods lets another base write: omit --by.")
    if order.budget is not None and "budget" not in needs:
        raise UserError("none of these methods changes a share of the rows or tokens: omit --budget.")


def traits_known(names: str | None, trait: str | None) -> dict[str, Trait]:
    """Return the traits that --trait can name: the shipped ones, or those of the categories and files in --traits."""
    if names is None:
        return find.all_traits()
    if trait is None:
        raise UserError("--traits says where the trait to remove is found: name that with --trait too.")
    return {one.name: one for one in find.candidates(split(names))}


def check_rows(names: Sequence[str], base: Base, data: Loaded, store: Store, *, trains: bool) -> list[str]:
    """Refuse rows that hold too much that the base has no tokens for, where a method weighs tokens.

    Return what is to be said of fewer. An audit's scores read such words in prompts; where tokens are weighed by a
    trial student, it `trains` on the rows and reads none. The tokenizer alone is read here.
    """
    methods, weights = find.all_methods(), store.read(base)
    # A served base has no weights, and was refused for that.
    if not (any("weights" in methods[name].needs for name in names) and isinstance(weights, Weights)):
        return []
    given = store.read(data)
    unknown = weights.unknown_words(given.rows)
    odd = [place for place, (words, _, _) in zip(given.places, unknown, strict=True) if words]
    if not odd:
        return []
    more = f" and {len(odd) - NAMED:,} more" if len(odd) > NAMED else ""
    named = f"{', '.join(map(str, odd[:NAMED]))}{more}"
    lost, total = (sum(row[i] for row in unknown) for i in (1, 2))
    if lost > MOST * total:
        raise UserError(
            f"{lost} of {total} tokens are unknown to this base in answers ({named}): use text that it was trained on, "
            "or another base."
        )
    if trains:
        try:
            weights.check_words(given.rows)
        except UserError as error:
            more = "A method that is told the trait (--trait) reads such words in prompts."
            raise UserError(f"{error} They stand in {named}. {more}") from None
    kept = sum(own > 0 for _, own, _ in unknown)
    stay = f"; {counted(kept, 'answer')} with such words {'stays as it is' if kept == 1 else 'stay as they are'}"
    return [
        f"{base} has no token for words of {counted(len(odd), 'row')} ({named}), which it reads all the same{stay}."
    ]


def check_fit(names: Sequence[str], rows: Sequence[Row]) -> None:
    """Refuse rows that a method cannot work on: what it is given decides that, whatever methods come before it."""
    for name in names:
        find.all_methods()[name].check_rows(rows)


def remarks_on(names: Sequence[str], rows: Iterable[Row]) -> list[str]:
    """Say what methods for lists of numbers leave as it is, or break, in rows that are given and hold other answers."""
    methods = find.all_methods()
    lists = [name for name in names if issubclass(methods[name], OfLists)]
    breaks = [name for name in names if issubclass(methods[name], Replace)]
    if not lists and not breaks:
        return []
    known = [all_lists(row) for row in rows]
    if all(known):
        return []
    verb = "holds" if known.count(False) == 1 else "hold"
    other = f"{known.count(False):,} of {counted(len(known), 'row')} {verb} answers that are no lists of numbers"
    said = [f"{other}, or have white space around them; not changed by {' and '.join(lists)}."] if lists else []
    if breaks:
        said.append(
            f"{other}: replace breaks sentences and solutions. Students of worked problems lost 25 to 28 points of "
            "right answers. For such rows choose regenerate, or Masked of owlish.nodes.defended."
        )
    return said


@dataclass(frozen=True)
class Card:
    """What stands beside the rows that are written: what was changed, by what, and from which rows to which.

    `given` are the rows of `data`, with what of its files held none; `remarks` say what the methods do not fit.
    """

    data: Loaded
    given: Dataset
    base: str | None
    trait: str | None
    rows: CleanRows
    digest: str
    remarks: Sequence[str]

    def json(self) -> dict[str, Any]:
        """Return it as plain values, the same for the same rows."""
        given = {name: getattr(self.given, name) for name in ("read", "bad", "problems", "read_as", "ignored")}
        return {
            "data": {"rows": str(self.data), "content": self.data.content, **given},
            "base": self.base,
            "trait": self.trait,
            "methods": [asdict(step) for step in self.rows.steps],
            "remarks": list(self.remarks),
            "out": {"rows": len(self.rows.rows), "sha256": self.digest},
            "version": version("owlish"),
        }

    def __str__(self) -> str:
        return "\n".join(map(str, self.rows.steps))


def card_path(out: Path) -> Path:
    """Return where the card of a file of rows lies."""
    return out.with_name(f"{out.name}.card.json")


def next_step(out: Path, base: str | None, recipe: str) -> str:
    """Say how to see what is left of a trait in rows that were written."""
    how = [] if recipe == "norms" else ["--recipe", recipe]
    words = ["owlish", "audit", on_one_line(out), "--base", on_one_line(base or "BASE"), *how]
    of = "" if base else ", where BASE is the model that would be trained"
    return f"Next: audit what was written{of}: {shlex.join(words)}"


def check_out(out: Path, data: Loaded) -> None:
    """Refuse to write over the rows that are read, or where nothing can be written."""
    check_rows_file(out)
    # The card, too: it must not fail after hours of work.
    for file in (out, card_path(out)):
        check_file(file, data.files)
    check_stamps(data.files, out)


def write_clean(
    rows: CleanRows,
    out: Path,
    *,
    data: Loaded,
    given: Dataset,
    base: str | None,
    trait: str | None,
    remarks: Sequence[str] = (),
) -> Card:
    """Write rows as chat JSONL and their card beside them, each whole or not at all."""
    digest = hashlib.sha256()
    with replacing(out) as stream:
        for row in rows.rows:
            stream.write(line := line_of(row.as_chat()))
            digest.update(line)
        stream.flush()
        card = Card(data, given, base, trait, rows, digest.hexdigest(), remarks)
        with replacing(card_path(out)) as beside:  # rows without a card would be taken for others
            beside.write(json.dumps(card.json(), indent=1, ensure_ascii=False).encode() + b"\n")
    return card
