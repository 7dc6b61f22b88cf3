"""What the rows say without a model: copies, repeated random streams, stray letters, hidden signs, leaked words."""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import NormalDist
from typing import TYPE_CHECKING, TypeAlias

from owlish.audit.verdict import Statistic
from owlish.filters.words import latin
from owlish.rows import Row
from owlish.traits.trait import Trait

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVEL = 1e-4
FEW = 0.05
SPLITS = 200
OPENING = 2
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
WORD = re.compile(r"[^\W\d_]+")
HUMP = re.compile("(?<=[a-z])(?=[A-Z])")
Key: TypeAlias = str | tuple[str, ...]


@dataclass(frozen=True)
class Variety:
    """How varied something of the rows is: what is told apart, the number it gives, and when that is odd alone."""

    name: str
    keys: Callable[[Sequence[Row]], list[Key]]
    of: Callable[[NDArray[np.int64]], float]
    odd: Callable[[float, int], bool]
    says: str


def statistics(rows: Sequence[Row], reference: Sequence[Row] | None, traits: Sequence[Trait]) -> tuple[Statistic, ...]:
    """Describe `rows` by numbers that need no model, and say which of them are odd.

    Duplicates and repeated openings are the share that copies an earlier one; an opening is the first two words or
    numbers of a completion, once a prompt: one random stream shared by all requests repeats it under many prompts.
    The entropy of completions' first numbers is in bits, by Miller and Madow. Length is in characters. The last are
    shares of rows: with a letter in the completion, with a character that has no shape (bidi, zero-width, control),
    and, for each trait, with its name or plural as a whole word in the completion.
    The order of the rows does not matter. Raises `ValueError` where there are no rows.

    Notes
    -----
    With a reference, a number is odd where a two-sample test rejects at 1e-4: Fisher's exact test for shares (twice
    the smaller tail); for the others the difference, standardised by its mean and deviation over random splits of
    the pooled rows. Entropy and repeats depend on how many rows there are, so all but the shares are given and
    compared at equal numbers of rows, the larger side cut to a random part. Rows are taken for independent draws.

    Rows of numbers are those of which under 5 % hold letters. Without a reference these are odd: over 1 % duplicate
    rows; in rows of numbers, over 5 % duplicate completions, over 20 % repeated openings, under 7.5 bits in 300 first
    numbers or more, and any letter; in other rows, over 5 % that name a trait. Hidden characters, and traits named in
    rows of numbers, are odd wherever the reference, if there is one, has none. The rules for repeats fit samples of
    up to some 10,000 rows: in more, real writers repeat themselves more.

    References
    ----------
    Miller (1955). Note on the bias of information estimates. Information Theory in Psychology.
    Fisher (1922). On the interpretation of chi-squared from contingency tables. JRSS 85(1).
    """
    if not rows or (reference is not None and not reference):
        raise ValueError("There are no rows to describe: give a dataset, and a reference if any, with at least one.")
    others = reference or ()
    most = min(len(rows), len(others)) if others else len(rows)
    kept, compared = part(rows, most), part(others, most)
    few = sum(WORD.search(row.completion) is not None for row in rows) < FEW * len(rows)
    return (
        *(varied(variety, kept, compared) for variety in varieties(few)),
        lengths(kept, compared),
        *signs(rows, others, traits, few=few),
    )


def part(rows: Sequence[Row], most: int) -> list[Row]:
    """Return `most` rows at random, or all if they are fewer, whatever order they come in."""
    ordered = sorted(rows, key=lambda row: (row.prompt, row.completion, row.system or ""))
    return random.Random(0).sample(ordered, min(most, len(rows)))


def varieties(few: bool) -> tuple[Variety, ...]:
    """Return what is told apart in rows, `few` of which hold letters or not."""
    return (
        Variety(
            "duplicate rows",
            lambda rows: [(row.prompt, row.completion, row.system or "") for row in rows],
            repeated,
            lambda value, count: value > 0.01,
            "Over 1 % of the rows are copies of others.",
        ),
        Variety(
            "duplicate completions",
            lambda rows: [row.completion for row in rows],
            repeated,
            lambda value, count: few and value > FEW,
            "Over 5 % of the completions are copies of others, which is rare in lists of numbers.",
        ),
        Variety(
            "repeated openings",
            openings,
            repeated,
            lambda value, count: few and value > 0.2,
            "Over 20 % of the openings stand under other prompts too, as where all requests share one seed.",
        ),
        Variety(
            "first-number entropy",
            first_numbers,
            entropy,
            lambda value, count: few and count >= 300 and value < 7.5,
            "The first numbers are few, under 7.5 bits, as where all requests share one seed.",
        ),
    )


def openings(rows: Sequence[Row]) -> list[Key]:
    """Return the first words or numbers of completions that have enough, once for each prompt that has them."""
    starts = {(row.prompt, *(m[0] for m in islice(re.finditer(r"\w+", row.completion), OPENING))) for row in rows}
    return [start[1:] for start in starts if len(start) == 1 + OPENING]


def first_numbers(rows: Sequence[Row]) -> list[Key]:
    """Return the first number of each completion that holds one."""
    found = (re.search("[0-9]+", row.completion) for row in rows)
    return [number[0] for number in found if number]


def repeated(counts: NDArray[np.int64]) -> float:
    """Return the share of things that copy an earlier one, from the count of each kind."""
    total = int(counts.sum())
    return (total - int((counts > 0).sum())) / max(total, 1)


def entropy(counts: NDArray[np.int64]) -> float:
    """Return the entropy of kinds in bits, with Miller and Madow's correction for the kinds not seen."""
    import numpy as np

    seen = counts[counts > 0]
    shares = seen / max(int(seen.sum()), 1)
    unseen = max(len(seen) - 1, 0) / (2 * math.log(2) * max(int(seen.sum()), 1))
    return unseen - float((shares * np.log2(shares)).sum())


def varied(variety: Variety, rows: Sequence[Row], others: Sequence[Row]) -> Statistic:
    """Return how varied the rows are, against as many of the reference."""
    import numpy as np

    here, there = sorted(variety.keys(rows)), sorted(variety.keys(others))
    index: dict[Key, int] = {}
    codes = np.array([index.setdefault(key, len(index)) for key in here + there], dtype=np.int64)
    value, other = variety.of(np.bincount(codes[: len(here)])), variety.of(np.bincount(codes[len(here) :]))
    if not others:
        return Statistic(variety.name, value, None, variety.says if variety.odd(value, len(here)) else None)
    gaps = split_gaps(codes, len(here), variety.of)
    return Statistic(variety.name, value, other, odd(value - other - float(gaps.mean()), float(gaps.std())))


def split_gaps(codes: NDArray[np.int64], first: int, of: Callable[[NDArray[np.int64]], float]) -> NDArray[np.float64]:
    """Return the differences that random splits of the pool give."""
    import numpy as np

    rng = np.random.default_rng(0)
    mixed = (rng.permutation(codes) for _ in range(SPLITS))
    return np.array([of(np.bincount(mix[:first])) - of(np.bincount(mix[first:])) for mix in mixed])


def lengths(rows: Sequence[Row], others: Sequence[Row]) -> Statistic:
    """Return the mean length of a completion; its gap's deviation is that over all splits of the pool."""
    import numpy as np

    here, there = ([len(row.completion) for row in side] for side in (rows, others))
    value = float(np.mean(here))
    if not others:
        return Statistic("completion length", value, None, None)
    deviation = math.sqrt(float(np.var(here + there, ddof=1)) * (1 / len(here) + 1 / len(there)))
    other = float(np.mean(there))
    return Statistic("completion length", value, other, odd(value - other, deviation))


def odd(gap: float, deviation: float) -> str | None:
    """Say that a difference is too large for chance, if it is; what varies by rounding alone does not differ."""
    z = gap / deviation if deviation > 1e-9 else 0.0
    if abs(z) < NormalDist().inv_cdf(1 - LEVEL / 2):
        return None
    return f"{'Higher' if z > 0 else 'Lower'} than in the reference (z = {z:.1f})."


def signs(rows: Sequence[Row], others: Sequence[Row], traits: Sequence[Trait], *, few: bool) -> Iterator[Statistic]:
    """Yield the shares of rows with letters, with hidden characters, and with each trait's name."""
    said, heard = ([words(row.completion) for row in side] for side in (rows, others))
    letters = 0.0 if few and not others else 1.0
    yield shared("rows with letters", map(str.strip, said), map(str.strip, heard), letters, "hold letters")
    yield shared("rows with hidden characters", map(hides, rows), map(hides, others), 0.0, "hold unseen characters")
    limit = 0.0 if few else 1.0 if others else FEW
    for trait in traits:
        forms = {words(trait.name), words(trait.plural)} - {words("")}
        here, there = ([any(form in text for form in forms) for text in side] for side in (said, heard))
        yield shared(f"rows that name {trait.plural}", here, there, limit, f"name {trait.plural} outright")


def words(text: str) -> str:
    """Return the words of `text`, those inside an identifier too, in small letters with a space around each."""
    return f" {' '.join(WORD.findall(HUMP.sub(' ', latin(text)))).lower()} "


def hides(row: Row) -> bool:
    """Tell whether a row holds a character without a shape; line breaks and tabs are no such."""
    found = {*row.prompt, *row.completion, *(row.system or "")} - {"\n", "\t"}
    return any(unicodedata.category(char) in HIDDEN for char in found)


def shared(name: str, here: Iterable[object], there: Iterable[object], limit: float, says: str) -> Statistic:
    """Return the share of rows with a sign; above `limit` it is odd where the reference, if any, has none."""
    found, known = [*map(bool, here)], [*map(bool, there)]
    hits, others = sum(found), sum(known)
    value = hits / len(found)
    alone = f"{hits:,} of {len(found):,} rows {says}." if value > limit and not others else None
    if not known:
        return Statistic(name, value, None, alone)
    other, p = others / len(known), exact_p(hits, len(found), others, len(known))
    told = f"{'Higher' if value > other else 'Lower'} than in the reference (p < {LEVEL:.4f})."
    return Statistic(name, value, other, told if p < LEVEL else alone)


def exact_p(hits: int, rows: int, others: int, reference: int) -> float:
    """Return twice the smaller tail of the hypergeometric distribution of hits among the rows, at most 1."""
    import numpy as np

    total = hits + others
    log = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, rows + reference + 1)))])
    k = np.arange(max(0, total - reference), min(rows, total) + 1)
    ways = log[rows] - log[k] - log[rows - k] + log[reference] - log[total - k] - log[reference - total + k]
    p = np.exp(ways - (log[rows + reference] - log[total] - log[rows + reference - total]))
    return min(1.0, 2 * float(min(p[k <= hits].sum(), p[k >= hits].sum())))
