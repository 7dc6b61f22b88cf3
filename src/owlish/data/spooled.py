"""What can be read only once, kept in a file, and the words for a file in messages."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

SPOOL = "owlish-given-"


def spool(name: str, lines: Iterable[bytes]) -> str:
    """Keep what can be read only once in a file that lasts as long as this process, and return its path."""
    # Kept as a file, for rows are read more than once: to name them by their digest, and then as rows.
    folder = Path(tempfile.mkdtemp(prefix=SPOOL))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with (folder / name).open("wb") as file:
        file.writelines(lines)
    return str(folder / name)


def format_source(file: str) -> str:
    """Return the words for a file, for whoever gave it: its path, or what was given in its place."""
    path = Path(file)
    return path.name if path.parent.name.startswith(SPOOL) else file
