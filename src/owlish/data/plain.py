"""JSON as its standard has it: what other programs read, and no deeper than they read it."""

from __future__ import annotations

import json
from typing import Any

from owlish.graph.errors import UserError
from owlish.graph.spec import is_text

DEEPEST = 100
"""The most lists and objects inside each other: JSON schemas of tools stay far below, and recursion ends far above."""
ABSENT: tuple[object, ...] = (None, "", [], {})
"""What stands in a field that a row does not use: tables have every column in every row."""


def whole(digits: str) -> float:
    """Return an integer; one of thousands of digits, such as an id, is no number that Python makes of a text."""
    # Python refuses to make integers of more than 4,300 digits.
    return int(digits) if len(digits) < 4000 else float(digits)


def constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise UserError(f"holds {name}, which JSON does not have.")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; refuse a name that it has twice: readers differ in which of the two they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"has the field {ascii(twice)[:40]} twice.")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=unique, parse_int=whole, parse_constant=constant)
LENIENT = json.JSONDecoder(parse_int=whole)
"""What finds the end of JSON that `DECODER` refuses."""


def decode_line(text: str) -> Any:
    """Return what the JSON on a line says, as `DECODER` does, which looks for spaces around it first."""
    if text.startswith("{"):
        found, end = DECODER.raw_decode(text)
        if text[end:] in ("\n", "", "\r\n"):
            return found
    return DECODER.decode(text)


def decode(value: str, name: str) -> Any:
    """Return what JSON text says; `UserError` says that what is called `name` is no JSON."""
    try:
        return DECODER.decode(value)
    except (ValueError, RecursionError):
        raise UserError(f"The {name} are not JSON.") from None


def encode(value: object, name: str) -> str:
    """Return JSON text; `UserError` says what of the value JSON has no form for, as for dates and NaN of a table."""
    if too_deep(value):
        raise UserError(f"The {name} nest more than {DEEPEST} lists and objects.")
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        raise UserError(f"The {name} hold what JSON does not have, such as NaN or a date.") from None
    return text(written, name)


def too_deep(value: object) -> bool:
    """Say whether lists and objects nest too deeply, without a call inside a call."""
    # Level by level: a recursive count would itself end in the recursion that it is to prevent.
    level = [value]
    for _ in range(DEEPEST + 1):
        inside = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [item for items in inside for item in items]
    return bool(level)


def text(value: object, name: str) -> str:
    """Return `value` if it is text that UTF-8 can hold."""
    if not isinstance(value, str):
        raise UserError(f"The {name} is not text.")
    # JSON may escape half a surrogate pair, and writing it as UTF-8 would crash long after it was read.
    if not value.isascii() and not is_text(value):
        raise UserError(f"The {name} holds half of a surrogate pair, which is no character.")
    return value


def objects(value: object, name: str) -> list[dict[str, Any]]:
    """Return `value` if it is a list of objects."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise UserError(f"The {name} are not a list of objects.")
    return value
