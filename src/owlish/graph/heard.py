"""What a worker writes and warns of while it makes a result: it comes back, else it would stay where the worker is."""

from __future__ import annotations

import builtins
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from typing import Any

Warned = tuple[str, str, str, int]
"""A warning: its words, the name of its category, the file and the line that gave it."""

LINES, LETTERS = 12, 4000
"""How much of what a worker wrote last is kept."""
MOST = 50
"""The warnings of one result that are kept."""
SECRET = re.compile("key|token|secret|pass|pwd|auth|credential|_pat$", re.IGNORECASE)
"""Names of settings whose values are kept from everybody else."""
SHORTEST = 8
"""Letters of a setting below which it is no secret: it would be found in other words."""
LIKE_A_SECRET = re.compile(
    r"\b(?:sk|hf|gh[a-z]|github_pat|glpat|xox[a-z])[-_][\w-]{16,}|\bA[KS]IA[0-9A-Z]{16}\b|\bAIza[\w-]{20,}"
    r"|\beyJ[\w-]{8,}\.[\w.-]+|(?<=://)[^/\s]+(?=@)|(?<=Bearer )\S+|(?<=token=)[^\s&]+"
)
HOMES = re.compile(r"/(?:home|Users)/[^/\s:'\"]+|/root\b")

repeated: dict[Any, Any] = {}
"""What Python notes of warnings that were given here, so that each is shown once."""


class Heard:
    """A stream that passes on what is written, and keeps the end of it."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.end = stream, ""

    def write(self, text: str) -> int:
        """Write text."""
        self.end = (self.end + text)[-LETTERS - 1 :]  # one more, which says that something stood before
        self.stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@cache
def ears() -> Heard:
    """Return the one stream of this process: what began to log to it under one node goes on under the next."""
    return Heard(sys.stderr)


@contextmanager
def listening() -> Iterator[tuple[Heard, list[Warned]]]:
    """Hear what this process writes, both streams as one, and what it warns of."""
    heard, found = ears(), list[Warned]()
    heard.end = ""
    with redirect_stdout(heard), redirect_stderr(heard), warnings.catch_warnings(record=True) as caught:
        try:
            yield heard, found
        finally:
            for one in (caught or [])[:MOST]:
                found.append((scrub(str(one.message)), one.category.__name__, scrub(one.filename), one.lineno))


def last_lines(text: str) -> str:
    """Return the last lines that a worker wrote, under a heading; nothing, where it wrote none."""
    if len(text) > LETTERS:
        # The first line is cut, and so may be a secret in it, which nothing would know any more.
        text = text[-LETTERS - 1 :].partition("\n")[2]
    # A bar that was drawn anew stands after the last return.
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    last = [line for line in lines if line][-LINES:]
    return scrub("\n".join(["The last lines that its worker wrote:", *last, ""])) if last else ""


def scrub(text: str) -> str:
    """Return text without the secrets that this process knows, and without the paths of homes."""
    # The longest first: one may be the beginning of another.
    for name, value in sorted(os.environ.items(), key=lambda one: -len(one[1])):
        if SECRET.search(name) and len(value) >= SHORTEST:
            text = text.replace(value, f"${name}").replace(repr(value)[1:-1], f"${name}")
    home = os.path.expanduser("~")  # which some containers do not have, or as "/"
    text = text.replace(home, "~") if len(home) > 1 else text
    return HOMES.sub("~", LIKE_A_SECRET.sub("***", text))


def warn_again(found: tuple[Warned, ...]) -> None:
    """Give the warnings of a worker here, as this process wants them: shown once, ignored, or raised."""
    for words, name, file, line in found:
        kind = getattr(builtins, name, UserWarning)
        category = kind if isinstance(kind, type) and issubclass(kind, Warning) else UserWarning
        warnings.warn_explicit(words, category, file, line, registry=repeated)
