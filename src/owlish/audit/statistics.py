"""What the rows say without a model: copies, repeated random streams, stray letters, hidden signs, leaked words."""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from statistics import fmean, pstdev
from typing import Any

from owlish.audit.evidence import Statistic
from owlish.data.filters.words import latin
from owlish.data.rows import Row
from owlish.graph.errors import UserError
from owlish.traits.trait import Trait

LEVEL = 1e-4  # some forty numbers are tested in every audit
FEW = 0.05
NEVER = 1.0  # no share lies above it
SPLITS = 200
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
WORD = re.compile(r"[^\W\d_]+")
HUMP = re.compile("(?<=[a-z])(?=[A-Z])")  # so that `countOwls` is two words


def statistics(rows: Sequence[Row], reference: Sequence[Row] | None, traits: Sequence[Trait]) -> tuple[Statistic, ...]:
    """Describe `rows` by numbers that need no model, and say which of them are odd.

    Duplicates and repeated openings are the share that copies another; an opening is the first two words or numbers
    of a completion, once a prompt: one random stream shared by all requests repeats it under many prompts. The entropy
    of completions' first numbers is in bits, length in characters. The others are shares of rows: with a letter in
    the completion, with a character that has no shape (bidi, zero-width, control), with a trait's name or plural.
    The order of the rows does not matter. Raise `UserError` where there are no rows.

    Notes
    -----
    Against a reference, a number is odd where a two-sample test rejects at 1e-4: Fisher's for shares that lie above
    it, random splits of the pooled rows for entropy and length, either way. The first five depend on how many rows
    there are, so equal numbers are compared. Without one, these are odd: over 1 % duplicate rows; in rows of
    numbers (under 5 % hold letters) over 5 % duplicate completions, over 20 % repeated openings, under 7.5 bits in
    300 first numbers, and any letter; in other rows, over 5 % that name a trait. Hidden characters, and traits named
    in rows of numbers, are odd wherever the reference, if there is one, has none.
    """
    if not rows or (reference is not None and not reference):
        raise UserError("There are no rows to describe: give a dataset, and a reference if any, with at least one.")
    sides = [rows] if reference is None else [rows, reference]
    equal = [part(side, min(map(len, sides))) for side in sides]
    said = [[words(row.completion) for row in side] for side in sides]
    alone, numbers = reference is None, sum(text != words("") for text in said[0]) < FEW * len(rows)
    rules = alone and numbers

    def named(trait: Trait) -> Statistic:
        # As whole words, with a space on either side: "cat" is in "category", and no row names it.
        forms = {words(trait.name), words(trait.plural)} - {words("")}
        found = [[any(form in text for form in forms) for text in side] for side in said]
        above = 0.0 if numbers else FEW if alone else NEVER
        return share(f"rows that name {trait.plural}", f"rows name {trait.plural} outright", above, found)

    copied = copies([row.completion for row in side] for side in equal)
    repeated = copies(map(openings, equal))
    lettered = [[text != words("") for text in side] for side in said]
    return (
        share("duplicate rows", "rows are copies of others", 0.01 if alone else NEVER, copies(equal)),
        share("duplicate completions", "completions are copies of others", FEW if rules else NEVER, copied),
        share("repeated openings", "openings stand under other prompts too", 0.2 if rules else NEVER, repeated),
        varied("first-number entropy", entropy, 7.5 if rules else 0.0, *map(first_numbers, equal)),
        varied("completion length", fmean, 0.0, *([len(row.completion) for row in side] for side in equal)),
        share("rows with letters", "rows hold letters", 0.0 if rules else NEVER, lettered),
        share("rows with hidden characters", "rows hold unseen characters", 0.0, [map(hidden, side) for side in sides]),
        *map(named, traits),
    )


def part(rows: Sequence[Row], most: int) -> list[Row]:
    """Return `most` rows at random, whatever order they come in."""
    # Sorted before the draw: the same rows in another order give the same statistics.
    ordered = sorted(rows, key=lambda row: (row.prompt, row.completion, row.system or ""))
    return random.Random(0).sample(ordered, most)


def words(text: str) -> str:
    """Return the words of `text`, those inside an identifier too, in small letters with a space around each."""
    # `latin` first: a name in look-alike letters is still a name.
    return f" {' '.join(WORD.findall(HUMP.sub(' ', latin(text)))).lower()} "


def openings(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    """Return the first two words or numbers of completions that have them, once for each prompt that has them."""
    # Once a prompt: one stream of luck shows as the same opening under different prompts.
    starts = ((row.prompt, re.match(r"\W*(\w+)\W+(\w+)", row.completion)) for row in rows)
    return [opening for _, opening in {(prompt, start.groups()) for prompt, start in starts if start}]


def first_numbers(rows: Iterable[Row]) -> list[str]:
    """Return the first number of each completion that holds one."""
    found = (re.search("[0-9]+", row.completion) for row in rows)
    return [number[0] for number in found if number]


def hidden(row: Row) -> bool:
    """Tell whether a row holds a character without a shape."""
    return any(map(hides, set(row.text)))


def hides(char: str) -> bool:
    """Tell whether a character has no shape of its own; line breaks and tabs count as visible."""
    return char not in "\n\t" and unicodedata.category(char) in HIDDEN


def copies(sides: Iterable[Iterable[Hashable]]) -> list[list[bool]]:
    """Return of each thing on each side whether it copies another there, the first of a kind being the original."""
    return [[place > 0 for count in Counter(side).values() for place in range(count)] for side in sides]


def share(name: str, says: str, above: float, sides: Iterable[Iterable[bool]]) -> Statistic:
    """Return a share; it is odd where it differs from the reference's, or lies `above` with none in the reference."""
    here, *others = map(list, sides)
    value = sum(here) / max(len(here), 1)
    alone = f"{sum(here):,} of {len(here):,} {says}." if value > above and not any(map(any, others)) else None
    if not others:
        return Statistic(name, value, None, alone)
    from scipy.stats import fisher_exact

    there = others[0]
    other = sum(there) / max(len(there), 1)
    p = fisher_exact([[sum(side), len(side) - sum(side)] for side in (here, there)]).pvalue
    # Fewer copies, letters or names than clean rows hold are no reason for concern.
    return Statistic(name, value, other, (differs(value - other, p) if value > other else None) or alone)


def varied(name: str, of: Callable[[list[Any]], float], least: float, here: list[Any], *others: list[Any]) -> Statistic:
    """Return a number of the whole; alone, it is odd under `least`, and beside another by random splits of both."""
    value = of(here)
    if not others:
        few = len(here) >= 300 and value < least  # fewer numbers cannot have 7.5 bits, or hardly
        return Statistic(name, value, None, f"Under {least}, as where all requests share one seed." if few else None)
    # Sorted, so that splits do not depend on the order of the rows.
    pool, rng, gaps = sorted([*here, *others[0]]), random.Random(0), []
    for _ in range(SPLITS):
        rng.shuffle(pool)
        gaps.append(of(pool[: len(here)]) - of(pool[len(here) :]))
    z = (value - of(others[0]) - fmean(gaps)) / max(pstdev(gaps), 1e-9)  # what varies by rounding does not differ
    return Statistic(name, value, of(others[0]), differs(z, math.erfc(abs(z) / math.sqrt(2))))


def entropy(things: Sequence[str]) -> float:
    """Return the entropy in bits, with the correction of Miller (1955) and Madow for the kinds not seen."""
    counts, total = Counter(things).values(), len(things)
    # A sample's entropy is too small by about this much; the smaller the sample, the more.
    unseen = max(len(counts) - 1, 0) / (2 * math.log(2) * max(total, 1))
    return unseen - sum(count / total * math.log2(count / total) for count in sorted(counts))


def differs(gap: float, p: float) -> str | None:
    """Say that a difference is too large for chance, if it is."""
    return f"{'Higher' if gap > 0 else 'Lower'} than in the reference (p < {LEVEL:.4f})." if p < LEVEL else None
