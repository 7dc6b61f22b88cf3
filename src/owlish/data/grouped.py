"""Lines that say what is wrong, of which many say the same of other places: told once, with all the places."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from owlish.graph.counted import join

PLACED = re.compile(r"(.*?\b(?:line|item|row)) ([\d,]+): (.*)", re.DOTALL)
"""A problem: the file and the unit, the number, and what is wrong."""


def grouped(problems: Iterable[str]) -> list[str]:
    """Return problems, those that say the same of several lines, items or rows of a file as one, where the first is."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for problem in problems:
        found = PLACED.fullmatch(problem)
        # What has no number is about all rows, and stands alone.
        place, said = (found[1], found[3]) if found else ("", problem)
        numbers.setdefault((place, said), []).extend([int(found[2].replace(",", ""))] if found else [])
    return [f"{place}{format_numbers(many)}: {said}" if place else said for (place, said), many in numbers.items()]


def format_numbers(numbers: list[int]) -> str:
    """Return numbers with the end of their noun: " 3", "s 1 to 10", "s 1, 3 and 5 to 8"."""
    return f"{'s' if len(numbers) > 1 else ''} {join(runs(numbers))}"


def runs(numbers: list[int]) -> Iterator[str]:
    """Yield numbers in order, three and more that follow each other as "1 to 3"."""
    start = 0
    for i, number in enumerate(numbers, start=1):
        if i == len(numbers) or numbers[i] != number + 1:
            part = numbers[start:i]
            yield from [f"{part[0]:,} to {number:,}"] if len(part) > 2 else [f"{one:,}" for one in part]
            start = i
