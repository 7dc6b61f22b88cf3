"""The number filter of Cloud et al., *Subliminal Learning* (arXiv 2507.14805, section 3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from owlish.data.filters.filter import Filter
from owlish.data.rows import Row

MOST = 10
# fmt: off
BANNED = (
    4, 13, 14, 18, 23, 33, 39, 42, 44, 49, 51, 54, 69, 77, 88, 99, 100, 101, 187, 211,
    311, 322, 333, 404, 420, 444, 451, 555, 616, 666, 777, 888, 911, 999,
)
# fmt: on
"""The 34 numbers that the paper's misalignment studies reject for what they stand for."""

SEPARATORS = (", ", ",", " ", "; ", ";", "\n")
"""What stands between the numbers of an answer that is held to the format."""

_NUMBER = re.compile("[0-9]+")
_OVER_999 = re.compile("[1-9][0-9]{3}")


@dataclass(frozen=True)
class NumberFilter(Filter, kind="number_filter"):
    """Keeps 1 to 10 whole numbers in 0..999 with one separator throughout, and nothing else.

    The separator is white space (what `str.strip` takes for it, as in the paper's program), or a comma or
    semicolon with any white space around it. One pair of `()` or `[]` may stand around the numbers, and one full
    stop after everything. Leading zeros do not count. The reasons are `too_many`, `too_large` and `banned`, of
    which a row may have several, and `malformed`, which stands alone. The time is linear in the length of the
    completion.
    """

    banned: tuple[int, ...] = ()

    @property
    def pattern(self) -> str:
        """The regular expression of well-formed answers, less other white space, leading zeros and banned numbers."""
        # Written out: not every engine's regular expressions have a lookahead for "any but these".
        allowed = "|".join(str(n) for n in range(1000) if n not in self.banned)
        number = f"(?:{allowed})" if self.banned else "(?:0|[1-9][0-9]{0,2})"
        lists = "|".join(f"{number}(?:{separator}{number}){{0,{MOST - 1}}}" for separator in SEPARATORS)
        return rf"(?:(?:{lists})|\[(?:{lists})\]|\((?:{lists})\))\.?"

    def reasons(self, row: Row) -> tuple[str, ...]:
        answer = bare(row.completion)
        separator = separator_of(answer)
        if separator is None:
            return ("malformed",)
        found = {
            "too_many": answer.count(separator) + 1 > MOST if separator else False,
            "too_large": _OVER_999.search(answer) is not None,
            "banned": bool(self.banned) and self.holds_banned(answer),
        }
        return tuple(reason for reason, present in found.items() if present)

    def holds_banned(self, answer: str) -> bool:
        """Say whether one of the numbers in `answer` is banned, however many zeros lead it."""
        return re.search(rf"\b0*(?:{'|'.join(map(str, self.banned))})\b", answer) is not None  # "0666" says 666, too


def bare(completion: str) -> str:
    """Return `completion` without one full stop at its end and one pair of brackets around it."""
    answer = completion.removesuffix(".")
    if answer[:1] + answer[-1:] in ("()", "[]"):
        return answer[1:-1]
    return answer


def separator_of(answer: str) -> str | None:
    """Return what stands between all numbers of `answer` ("" for a lone one), or None if it is malformed."""
    first = _NUMBER.match(answer)
    if first is None or answer[-1] not in "0123456789":
        return None
    second = _NUMBER.search(answer, first.end())
    if second is None:
        return ""
    separator = answer[first.end() : second.start()]
    # A doubled separator would vanish with the others below.
    if separator.strip() not in ("", ",", ";") or separator * 2 in answer:
        return None
    # Another separator leaves signs in `rest`. `isdigit` alone is true of superscripts and other scripts' digits too.
    rest = answer.replace(separator, "")
    return separator if rest.isascii() and rest.isdigit() else None
