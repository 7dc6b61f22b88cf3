"""What `owlish diff` compares: a student, its controls or null students, as a command line names them."""

from __future__ import annotations

from collections.abc import Sequence

from owlish.cli import find
from owlish.diff.contexts import CONTEXTS, Context, read_contexts
from owlish.diff.diff import Diffed, diff
from owlish.diff.null import null as students
from owlish.diff.student import find_student
from owlish.graph.errors import UserError
from owlish.graph.store import Store
from owlish.nodes.base import Base
from owlish.nodes.loaded import loaded
from owlish.traits.trait import Trait


def diff_target(
    student: str,
    base: Base,
    traits: Sequence[Trait],
    store: Store,
    *,
    controls: Sequence[str],
    null: str,
    data: str | None,
    recipe: str | None,
    contexts: str,
) -> Diffed:
    """Return the diff that a command line asks for; without controls, recipe or rows it has no null."""
    base.check()
    looked, asked = find_student(student, base, store), choose_contexts(contexts)
    find.pick(null, {"own": True, "none": False}, "null")
    if controls:
        others = tuple(find_student(control, base, store).student for control in controls)
        # The same student twice has no scatter: the null would be too narrow.
        if len({one.key for one in others}) < len(others):
            raise UserError("a control is given twice: give students of different seeds.")
        return diff(looked.student, traits, null=others, words=f"{len(others)} controls", contexts=asked)
    own = looked.recipe if recipe is None else find.recipe(recipe, base)
    if looked.recipe and own and own.name != looked.recipe.name:
        # A null of another recipe moves other parameters, and tells nothing of this student.
        raise UserError(f"{student} was trained by the recipe {looked.recipe.name}, as the store knows: omit --recipe.")
    # For the rows, what the user says goes before what a store knows: the same rows may lie in another file.
    rows = looked.data if data is None else loaded(data, n=None, seed=0)
    if null == "none" or own is None or rows is None:
        return diff(looked.student, traits, contexts=asked)
    trained = students(base, own, rows)
    words = f"{len(trained)} students of {base} ({own.words}) trained on its own answers to the prompts of {rows}"
    return diff(looked.student, traits, null=trained, words=words, contexts=asked)


def choose_contexts(name: str) -> tuple[Context, ...]:
    """Return the contexts that a word stands for: those shipped, none, or those of a file."""
    if name == "none":
        return ()
    return CONTEXTS if name == "shipped" else read_contexts(name)
