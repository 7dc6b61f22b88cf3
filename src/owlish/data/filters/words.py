"""Words that rows must not hold: by name, or as a run of letters in other words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from unicodedata import category, normalize

_LOOK_LATIN = str.maketrans(
    "авекмнорстухіјѕһԁԛԝАВЕКМНОРСТУХІЈЅαεικνορτυχω", "abekmhopctyxijshdqwABEKMHOPCTYXIJSaeiknoptuxw"
)
_WORD = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def targets(text: str, words: tuple[str, ...]) -> Iterator[str]:
    """Yield `names_target` and `contains_target` where they hold of `text`.

    A word is named where it, or it with s or es, stands alone or as a part of an identifier (`owl_count`,
    `countOwls`). It is contained where its letters follow each other, in any case and whatever stands around them:
    the substring rule of Cloud et al. (arXiv 2507.14805), which also rejects `growl`. The same signs may stand
    between all of its letters (`o-w-l`). Accents, full-width and invisible characters, and the Cyrillic and Greek
    letters that look Latin, hide nothing. The time is linear in the length of the text.
    """
    if not words:
        return
    plain, wanted = latin(text), {word.lower() for word in words}
    forms = {form + end for form in wanted for end in ("", "s", "es")}
    if any(match[0].lower() in forms for match in _WORD.finditer(plain)):
        yield "names_target"
    if any(re.search(spell(word), plain.lower()) for word in wanted):
        yield "contains_target"


def latin(text: str) -> str:
    """Return `text` with plain letters for those that look like them, and without what cannot be seen."""
    # Nearly all rows: without it every letter would be looked up.
    if text.isascii():
        return text
    # First taken apart, then translated, and last the marks go: an accent on a Cyrillic letter hides nothing either.
    parts = normalize("NFKD", text).translate(_LOOK_LATIN)
    return "".join(part for part in parts if category(part) not in ("Mn", "Cf"))


def spell(word: str) -> str:
    """Return the pattern of a word's letters with the same signs, or none, between them."""
    first, *rest = map(re.escape, word)
    # The same signs each time: letters that stand in a text by chance have different ones between them.
    return first + (r"([\W\d_]*)" + r"\1".join(rest) if rest else "")
