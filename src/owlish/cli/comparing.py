"""What `owlish diff` compares: a student, its controls or null students, as a command line names them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from owlish.cli import find
from owlish.cli.choice import split
from owlish.data.rows import line_of
from owlish.diff.contexts import named_contexts
from owlish.diff.decide import FEWEST
from owlish.diff.diff import Diffed, diff
from owlish.diff.null import null as students
from owlish.diff.student import check_controls, find_student, size_in, tuned_in
from owlish.graph.errors import UserError
from owlish.graph.store import Store
from owlish.lm.recipes import RECIPES
from owlish.nodes.base import Base
from owlish.nodes.loaded import Loaded, loaded
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
    judge: Base | None,
) -> Diffed:
    """Return the diff that a command line asks for; without controls, recipe or rows it has no null."""
    base.check()
    find.pick(null, {"own": True, "none": False}, "null")
    # What would be taken for the measure must be: with controls, or with none, nothing is trained on rows.
    if (data or recipe) and (controls or null == "none"):
        other = "--control" if controls else "--null none"
        raise UserError(f"null students are trained by --recipe on --data, and {other} asks for none: omit both.")
    looked = find_student(student, base, store)
    asked = named_contexts(split(contexts))
    if controls:
        others = tuple(find_student(control, base, store).student for control in controls)
        check_controls(looked.student, others)
        return diff(looked.student, traits, null=others, words=f"{len(others)} controls", contexts=asked, judge=judge)
    given = None if recipe is None else find.recipe(recipe, base)
    named = None if data is None else loaded(data, n=None, seed=0)
    # A null of another recipe, or of other rows, moves differently, and tells nothing of this student.
    if looked.recipe and given and given.name != looked.recipe.name:
        raise UserError(f"{student} was trained by the recipe {looked.recipe.name}, as the store knows: omit --recipe.")
    if given and (tuned := tuned_in(looked.student.model)) and tuned != given.parameters:
        fits = f"give --recipe {tuned}" if tuned in RECIPES else "give students of that kind with --control"
        raise UserError(f"{looked.student} was trained by {tuned}, as its files show, and not by {recipe}: {fits}.")
    if given and (size := size_in(looked.student.model)) and size != given.size:
        raise UserError(
            f"{looked.student} has rank (or prompt vectors) {size}, as its files show, and {recipe} has {given.size}: "
            "give students of that kind with --control."
        )
    if looked.data and named and not alike(looked.data, named):
        raise UserError(f"{student} was trained on other rows than {data} holds, as the store knows: omit --data.")
    # What the store knows goes first: its null students may be there already.
    own, rows = looked.recipe or given, looked.data or named
    if null == "none" or own is None or rows is None:
        return diff(looked.student, traits, contexts=asked, judge=judge)
    trained = students(base, own, rows)
    # Rows of a store lie at a place of the store's own, which differs from store to store and tells nobody anything.
    prompts = "the rows that the student was trained on" if looked.data else named
    words = f"{len(trained)} students of {base} ({own.words}) trained on its own answers to the prompts of {prompts}"
    return diff(looked.student, traits, null=trained, words=words, contexts=asked, judge=judge)


def foretold(target: Diffed) -> list[str]:
    """Say before anything is made that a diff can claim nothing, where it has too few null students."""
    if len(target.null) >= FEWEST:
        return []
    return [
        f"The verdict can only be “cannot say”: a claim needs {FEWEST} null students, and this diff has "
        f"{len(target.null) or 'none'}. Name --recipe and --data, or give {FEWEST} of --control."
    ]


def alike(one: Loaded, other: Loaded) -> bool:
    """Say whether two files hold the same rows, in whatever formats and order."""
    first, second = (Counter(hash(line_of(row.as_chat())) for row in data.reading().rows()) for data in (one, other))
    return first == second
