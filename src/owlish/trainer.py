"""A callback for Hugging Face's `Trainer`: audits the rows, compares the student with its base, can stop the run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from owlish.audit.audit import ROWS, audit
from owlish.audit.audited import Audited
from owlish.audit.evidence import Word
from owlish.audit.verdict import Verdict
from owlish.data.given import Given
from owlish.diff.contexts import CONTEXTS, Context
from owlish.diff.diff import Diffed, diff
from owlish.diff.null import null as students
from owlish.diff.student import RELATED, agreement, find_student
from owlish.diff.verdict import Difference
from owlish.graph.errors import UserError
from owlish.graph.run import RunFailed, plan, run
from owlish.graph.store import Store, store_at
from owlish.graph.typed import check_fields
from owlish.lm.hf import TorchLM
from owlish.lm.recipes import Recipe
from owlish.nodes.base import Base
from owlish.nodes.data import Data
from owlish.nodes.loaded import loaded
from owlish.report.audit import render as audit_page
from owlish.report.diff import render as diff_page
from owlish.traits.trait import Trait

if TYPE_CHECKING:
    from transformers import TrainerCallback

FOLDER = "owlish"
"""The folder below a trainer's `output_dir` that holds the verdicts, their pages and the student."""
STUDENT = "student"
LEFT = ("audit.json", "audit.html", "diff.json", "diff.html")


class Stopped(UserError):
    """A run was stopped because of a verdict."""


@dataclass(frozen=True)
class Watch:
    """What is watched: rows for students of a base by a recipe, and by which verdicts a run is stopped."""

    data: Data
    base: Base
    recipe: Recipe
    traits: tuple[Trait, ...]
    reference: Data | None
    rows: int
    seed: int
    null: bool
    contexts: tuple[Context, ...]
    stop_on: tuple[Word, ...]
    store: Store

    def __post_init__(self) -> None:
        check_fields(self)
        plan([self.audited], self.store)  # what cannot work is said before the trainer starts

    @property
    def audited(self) -> Audited:
        """The audit of the rows."""
        return audit(
            self.data,
            self.base,
            self.recipe,
            self.traits,
            reference=self.reference,
            rows=self.rows,
            seed=self.seed,
        )

    def diffed(self, folder: Path) -> Diffed:
        """Return the diff of the student in a folder; without null students it measures, and claims nothing."""
        student = find_student(str(folder), self.base, self.store).student
        if not self.null:
            return diff(student, self.traits, contexts=self.contexts)
        own = students(self.base, self.recipe, self.data)
        words = f"{len(own)} students of {self.base} ({self.recipe.words}) trained on its own answers"
        return diff(student, self.traits, null=own, words=words, contexts=self.contexts)

    def before(self, model: Any, out: Path) -> None:
        """Audit the rows, before the first step."""
        for name in LEFT:
            (out / FOLDER / name).unlink(missing_ok=True)  # an earlier run's, which tell nothing of this one
        rmtree(out / FOLDER / STUDENT, ignore_errors=True)
        self.check_base(model)
        verdict = run(self.audited, store=self.store)
        self.conclude("audit", verdict, audit_page(verdict), out, "nothing was trained")

    def opened(self) -> TorchLM:
        """Return the base, which runs here: what asks for its weights was planned already."""
        lm = run(self.base, store=self.store).open(any_words=True)
        assert isinstance(lm, TorchLM)
        return lm

    def check_base(self, model: Any) -> None:
        """Refuse a trainer's model that did not start from the base: the audit would be of another."""
        lm = self.opened()
        ours, theirs = (len(one.get_input_embeddings().weight) for one in (lm.model, model))
        # Where a model is spread over processes, this one may hold none of the embeddings.
        if theirs and ours != theirs:
            raise UserError(
                f"the trainer's model has embeddings of {theirs} tokens and {self.base} of {ours}: name the base that "
                "it trains, or train it without resizing them."
            )
        if theirs and agreement(lm, model) < RELATED:
            raise UserError(f"the trainer's model did not start from {self.base}: name the base that it trains.")

    def after(self, model: Any, tokenizer: Any, out: Path) -> None:
        """Save the student, and compare it with the base, after the last step."""
        folder = out / FOLDER / STUDENT
        model.save_pretrained(folder)
        # A trainer of tokens need not have one, and a whole model cannot be asked without.
        if tokenizer is None:
            self.opened().save_tokenizer(folder)
        else:
            tokenizer.save_pretrained(folder)
        try:
            verdict = run(self.diffed(folder), store=self.store)
        except (UserError, RunFailed) as error:
            raise UserError(f"the student is trained and lies in {folder}, but cannot be compared: {error}") from error
        self.conclude("diff", verdict, diff_page(verdict), out, "the student is trained")

    def conclude(self, name: str, verdict: Verdict | Difference, page: str, out: Path, state: str) -> None:
        """Write a verdict and its page; raise `Stopped` where it is one that stops a run."""
        folder = out / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(verdict.json()))
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
        if verdict.verdict in self.stop_on:
            raise Stopped(f"the run was stopped, {state}: {verdict.why} See {folder / name}.html.")


def watch(
    data: Given | Data,
    *,
    base: str | Base,
    recipe: Recipe,
    traits: Sequence[Trait],
    reference: Given | Data | None = None,
    rows: int = ROWS,
    seed: int = 0,
    null: bool = False,
    contexts: Sequence[Context] = CONTEXTS,
    stop_on: Sequence[Word] = ("found",),
    store: Store | str | Path = "owlish-store",
) -> TrainerCallback:
    """Return a callback for `Trainer(callbacks=[...])` of transformers, and for TRL's trainers.

    Before the first step it audits `data`, the rows that the trainer is given, for students of `base` by `recipe`, the
    one nearest to the trainer's own. After the last step it compares the trained model with the base, and with `null`
    also with six students that were taught nothing. Both verdicts lie as JSON and as pages in `owlish` below the
    trainer's `output_dir`. `Stopped`, a `UserError`, is raised by a verdict in `stop_on`: before training nothing is
    trained. Wrong arguments are refused at once, and a model that did not start from `base` before the first step.
    Only the first process of several works.
    """
    from transformers import TrainerCallback

    watched = Watch(
        data=node(data, seed=seed),
        base=Base(base) if isinstance(base, str) else base,
        recipe=recipe,
        traits=whole(traits),
        reference=None if reference is None else node(reference, seed=seed),
        rows=rows,
        seed=seed,
        null=null,
        contexts=whole(contexts),
        stop_on=whole(stop_on),
        store=store if isinstance(store, Store) else store_at(store),
    )

    class Watching(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.is_world_process_zero:
                watched.before(more["model"], Path(args.output_dir))

        def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.is_world_process_zero:
                watched.after(more["model"], more.get("processing_class"), Path(args.output_dir))

    return Watching()


def whole(items: Any) -> Any:
    """Return a list as the tuple that a field asks for, and anything else as it is: it is refused by its name then."""
    return tuple(items) if isinstance(items, list) else items


def node(data: Given | Data, *, seed: int) -> Data:
    """Return rows as a node."""
    return data if isinstance(data, Data) else loaded(data, n=None, seed=seed)
