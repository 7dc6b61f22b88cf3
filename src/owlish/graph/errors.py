"""The error that is told to the user as one sentence."""

from __future__ import annotations

from collections.abc import Collection


class UserError(ValueError):
    """What the user asked for cannot be done; the message says why and what to do.

    The command line prints the message alone and exits with 2. Any other exception is a fault of owlish: its trace is
    shown and the exit code is 70.
    """


def suggestion(name: str, known: Collection[str]) -> str:
    """Return the nearest of the known names, or all of them."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}" if near else f"choose from {', '.join(known)}"
