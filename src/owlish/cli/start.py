"""Where the command begins: an interrupt while all else is imported ends it quietly, too."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Import the command line and run it."""
    try:
        # Inside: these imports take a second or more on a busy machine.
        from owlish.cli.main import main as command

        command()
    except KeyboardInterrupt:
        print("owlish: interrupted before anything was begun.", file=sys.stderr)
        sys.exit(130)
