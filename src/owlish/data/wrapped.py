"""JSON that is neither lines nor a list of rows: an object around the list, or rows of several lines each."""

from __future__ import annotations

import json
import re
from collections.abc import Collection

from owlish.data.plain import LENIENT
from owlish.data.records import CHUNK, open_lines
from owlish.data.sources.format import is_row

LIST = re.compile(r'"((?:[^"\\]|\\.)*)"\s*:\s*\[\s*\{')
"""The name of a list of objects."""
EDGE = 10
"""So near its end a text that is cut has its mistake: a sign, a word such as `true`, or an escape is left half."""


def over_lines(file: str, known: Collection[str]) -> str | None:
    """Say what to do with a file whose first JSON object ends behind its first line; `None` where it does not.

    `known` are the fields of rows. Only the first bytes are looked at.
    """
    text = head_of(file)
    first, _, rest = text.partition("\n")
    if not text.startswith("{") or not rest.strip() or is_json(first) or not is_begun(text):
        return None
    return (
        advice(text, known) or "holds a JSON object over several lines: put each row on one line, or all in one list."
    )


def around_list(file: str, known: Collection[str]) -> str | None:
    """Say what to do with a file whose one line is a JSON object around a list of objects; `None` where it is not."""
    text = head_of(file)
    return advice(text, known) if text.startswith("{") and not text.partition("\n")[2].strip() else None


def advice(text: str, known: Collection[str]) -> str | None:
    """Say which list of the JSON object with which a text begins holds the rows; `None` where it is itself a row."""
    found = LIST.search(text)
    # A list in a field of a row is a chat, and no list of rows.
    if found is None or found[1] in known or is_row(top_of(text)):
        return None
    return f"is one JSON object and no list of rows: give the list alone that is under {ascii(found[1])[:40]}."


def head_of(file: str) -> str:
    """Return the first letters of a file."""
    with open_lines(file) as stream:
        # The last letter may be cut in the middle.
        return stream.read(CHUNK).decode("utf-8-sig", errors="ignore").lstrip()


def top_of(text: str) -> Collection[str]:
    """Return the fields of the JSON object with which a text begins, if it is whole."""
    try:
        found: dict[str, object] = LENIENT.raw_decode(text)[0]
    except (ValueError, RecursionError):
        return ()
    return found


def is_json(line: str) -> bool:
    """Say whether a line begins with a JSON object that is whole."""
    return bool(top_of(line)) or line.startswith("{}")


def is_begun(text: str) -> bool:
    """Say whether a text begins with a JSON object, whole or cut at its end."""
    try:
        LENIENT.raw_decode(text)
    except json.JSONDecodeError as error:
        # A mistake in the middle is another fault: one line of JSONL is bad.
        return error.msg.startswith("Unterminated string") or error.pos > len(text) - EDGE
    except RecursionError:
        return False
    return True
