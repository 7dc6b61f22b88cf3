"""The error that is told to the user as one sentence."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Any


class UserError(ValueError):
    """What the user asked for cannot be done; the message says why and what to do.

    The command line prints the message alone and exits with 2. Any other exception is a fault of owlish: its trace is
    shown and the exit code is 70.
    """


def import_extra(package: str, sentence: str) -> Any:
    """Return a package that only some users install; raise `UserError` with a sentence where it is not there."""
    try:
        return import_module(package)
    except ImportError:
        raise UserError(sentence) from None


def nearest(name: str, known: Collection[str], *, alike: float = 0.6) -> str | None:
    """Return the known name that a name was probably meant to be; the two are `alike` from 0 to 1 at least."""
    import difflib

    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=alike)), None)


def suggestion(name: str, known: Collection[str]) -> str:
    """Return the end of a sentence about a name that nothing has: the nearest of the known names, or all of them."""
    near = nearest(name, known)
    return f"did you mean {near}?" if near else f"choose from {', '.join(known)}."
