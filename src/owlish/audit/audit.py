"""Audits as values: which shadows, contrasts and references a dataset, a base and a recipe call for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from owlish.audit.audited import Audited
from owlish.audit.contrast import Contrast
from owlish.audit.decide import FEWEST
from owlish.audit.opinion import JUDGED, opinion
from owlish.audit.reference import Answered, Part
from owlish.audit.relative import likelihoods, logit_bias
from owlish.audit.shadow import Shadow
from owlish.audit.weigh import RowScores, TokenScores
from owlish.data.given import Given
from owlish.graph.errors import UserError
from owlish.graph.seeds import fresh
from owlish.graph.typed import check_is
from owlish.lm.recipes import Recipe
from owlish.nodes.base import Base
from owlish.nodes.data import Data
from owlish.nodes.loaded import Loaded, loaded
from owlish.nodes.models import Model, Taught
from owlish.traits.trait import Trait

REFERENCES = 6
ROWS = 1600
# At 400 it named 17 of 30 teachers of biases; 1,600 would double its cost for a z that is large already.
CONTRAST_ROWS = 800
WEAK = 0.3
"""The probability at which a weak teacher, the direction of the contrast, has a trait."""
# Not "prompt": a direction must be a change of the base's own weights, or a steering vector.
DIRECTED = ("norms", "biases", "lora", "layer", "all", "steering")


def audit(
    data: Data | Given,
    base: Base,
    recipe: Recipe,
    traits: Sequence[Trait],
    *,
    reference: Data | None = None,
    rows: int = ROWS,
    seed: int = 0,
    for_rows: int | None = None,
    judge: Model | None = None,
) -> Audited:
    """Return the audit of `data` for students of `base` and `recipe`: run it for a `Verdict`.

    `data` may be rows of a node, or whatever `loaded` takes: a file, a `Dataset`, a list of dicts.
    The reference is 6 sets of the base's own answers to the prompts of `data`, or 6 parts of `reference`. At most
    `rows` rows are used. With `for_rows`, the verdict speaks of a student of so many rows like these, and says at how
    many the first trait would stand out. A `judge` reads up to 200 rows and as many clean ones, and names the candidate
    that each speaks for: the verdict tells its opinion, and does not rest on it.
    """
    for value, hint, name in ((base, Base, "base"), (recipe, Recipe, "recipe"), (rows, int, "rows")):
        check_is(value, hint, name)
    check_is(traits, list | tuple, "traits")
    check_is(tuple(traits), tuple[Trait, ...], "traits")
    if not traits or rows < FEWEST:
        raise UserError(f"an audit needs at least one candidate and {FEWEST} rows: give traits and rows.")
    check_is(reference, Data | None, "reference")
    check_is(judge, Model | None, "judge")
    data = data if isinstance(data, Data) else loaded(data, n=rows, seed=seed)
    references: tuple[Data, ...]
    if reference is not None:
        check_other(reference, data)
        # Six, as by default: the reference's spread is the null of every detector.
        references = tuple(Part(reference, k, REFERENCES, rows) for k in range(REFERENCES))
        words = f"{REFERENCES} parts of {reference}"
    else:
        sets = range(REFERENCES)
        # To the dataset's own prompts: other prompts would differ from it for that reason alone.
        references = tuple(Answered(base, data, rows, seed=fresh("reference", seed, k)) for k in sets)
        words = f"{REFERENCES} sets of the base’s own answers to the dataset’s prompts"
    found = against(data, base, recipe, tuple(traits), references, words, rows=rows, seed=seed)
    asked = opinion(judge, base, Part(data, 0, 1, JUDGED), traits) if judge else None
    return replace(found, for_rows=for_rows, judge=asked)


def check_other(reference: Data, data: Data) -> None:
    """Refuse clean rows that are rows of the data: nothing would stand out against them."""
    same = reference.key == data.key
    # Two samples of one file are different nodes, and may still share rows.
    if isinstance(reference, Loaded) and isinstance(data, Loaded):
        ours, theirs = ({Path(file).absolute() for file in one.files} for one in (data, reference))
        same = reference.content == data.content or not ours.isdisjoint(theirs)
    if same:
        raise UserError("the reference holds rows of the data itself: give other rows, or omit it.")


def against(
    data: Data,
    base: Base,
    recipe: Recipe,
    traits: tuple[Trait, ...],
    references: tuple[Data, ...],
    words: str,
    *,
    rows: int = ROWS,
    seed: int = 0,
) -> Audited:
    """Return the audit of `data` against given sets of clean rows."""
    cheap = recipe.parameters in DIRECTED
    return Audited(
        # A seed of its own for each shadow: the null holds the chance of training as well as that of rows.
        shadow=Shadow(base, data, traits, recipe, rows, seed=fresh("shadow", seed)),
        null=tuple(
            Shadow(base, r, traits, recipe, rows, seed=fresh("shadow", seed, k)) for k, r in enumerate(references)
        ),
        contrast=contrast(data, base, recipe, traits, min(rows, CONTRAST_ROWS)) if cheap else None,
        clean=tuple(contrast(r, base, recipe, traits, min(rows, CONTRAST_ROWS)) for r in references) if cheap else (),
        likely=likelihoods(base, data),
        # One reference is enough: kinship asks about the base's own answers, not about their spread.
        own=likelihoods(base, references[0]) if references else (),
        reference=words,
        seed=seed,
        bias=logit_bias(base, data, references),
    )


def row_scores(
    data: Data, base: Base, recipe: Recipe, traits: Sequence[Trait], *, toward: Trait, rows: int
) -> RowScores:
    """Return the scores of the first `rows` rows of a dataset for each candidate, and of their tokens for `toward`.

    Raise `UserError` where the recipe has no directions: those of prompt tuning move no weight of the base.
    """
    check_directed(recipe)
    return RowScores(contrast(data, base, recipe, tuple(traits), rows), toward)


def token_scores(
    data: Data, base: Base, recipe: Recipe, traits: Sequence[Trait], *, toward: Trait, rows: int
) -> TokenScores:
    """Return what `row_scores` says of tokens, without the gradient that it takes for each row."""
    check_directed(recipe)
    return TokenScores(contrast(data, base, recipe, tuple(traits), rows), toward)


def check_directed(recipe: Recipe) -> None:
    """Refuse a recipe that has no directions."""
    if recipe.parameters not in DIRECTED:
        raise UserError(
            f"rows have no scores for the recipe {recipe.name}: take one that moves weights, such as norms."
        )


def contrast(data: Data, base: Base, recipe: Recipe, traits: tuple[Trait, ...], rows: int) -> Contrast:
    """Return the contrast of a dataset's first `rows` rows along weak teachers of the same recipe."""
    return Contrast(base, data, traits, weak_teachers(base, recipe, traits), rows)


# Contrasts share these objects, so thirty teachers are described once and not once a dataset.
@cache
def weak_teachers(base: Base, recipe: Recipe, traits: tuple[Trait, ...]) -> tuple[Taught, ...]:
    """Return the teachers whose changes are the directions of a contrast; the contrasts of a benchmark share them."""
    # Weak, so that it stays near the base: the contrast is a test of the first order.
    return tuple(base.teach(t, recipe, seed=fresh("direction", t.name), until=WEAK) for t in traits)
