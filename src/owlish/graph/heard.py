"""What a worker writes and warns of while it makes a result: it comes back, else it would stay where the worker is."""

from __future__ import annotations

import builtins
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

Warned = tuple[str, str, str, int]
"""A warning: its words, the name of its category, the file and the line that gave it."""

LINES, LETTERS = 12, 4000
"""How much of what a worker wrote last is kept."""
MOST = 50
"""The warnings of one result that are kept."""
SECRET = re.compile("key|token|secret|passw|credential", re.IGNORECASE)
SHORTEST = 8
"""Letters of a setting below which it is no secret: it would be found in other words."""
LIKE_A_SECRET = re.compile(r"\b(?:sk|hf|ghp|xox[a-z])[-_][\w-]{16,}|\bAKIA[0-9A-Z]{16}\b|(?<=://)[^/\s@]+(?=@)")
HOMES = re.compile(r"/(?:home|Users)/[^/\s:'\"]+|/root\b")

repeated: dict[Any, Any] = {}
"""What Python notes of warnings that were given here, so that each is shown once."""


class Heard:
    """A stream that passes on what is written, and keeps the end of it."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.end = stream, ""

    def write(self, text: str) -> int:
        """Write text."""
        self.end = (self.end + text)[-LETTERS:]
        return int(self.stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def listening() -> Iterator[tuple[Heard, list[Warned]]]:
    """Hear what this process writes, both streams as one, and what it warns of."""
    heard, found = Heard(sys.stderr), list[Warned]()
    with redirect_stdout(heard), redirect_stderr(heard), warnings.catch_warnings(record=True) as caught:
        try:
            yield heard, found
        finally:
            for one in (caught or [])[:MOST]:
                found.append((scrub(str(one.message)), one.category.__name__, scrub(one.filename), one.lineno))


def last_lines(text: str) -> str:
    """Return the last lines that a worker wrote, under a heading; nothing, where it wrote none."""
    # A bar that was drawn anew stands after the last return.
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    last = [line for line in lines if line][-LINES:]
    return scrub("\n".join(["The last lines that its worker wrote:", *last, ""])) if last else ""


def scrub(text: str) -> str:
    """Return text without the secrets that this process knows, and without the paths of homes."""
    for name, value in os.environ.items():
        if SECRET.search(name) and len(value) >= SHORTEST:
            text = text.replace(value, f"${name}")
    home = str(Path.home())
    text = text.replace(home, "~") if len(home) > 1 else text  # of some containers it is "/"
    return HOMES.sub("~", LIKE_A_SECRET.sub("***", text))


def warn_again(found: tuple[Warned, ...]) -> None:
    """Give the warnings of a worker here, as this process wants them: shown once, ignored, or raised."""
    for words, name, file, line in found:
        kind = getattr(builtins, name, UserWarning)
        category = kind if isinstance(kind, type) and issubclass(kind, Warning) else UserWarning
        warnings.warn_explicit(words, category, file, line, registry=repeated)
