"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from owlish.graph.errors import UserError


@contextmanager
def replacing(file: str | Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `file` when the block ends well, and vanishes when it fails."""
    target = Path(file).resolve()
    scratch = target.with_name(f".owlish-{secrets.token_hex(8)}.tmp")
    try:
        if target.exists() and not target.is_file():
            raise UserError(f"{file} is not a file: give a file to write to.")
        with scratch.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(target)
    except OSError as error:
        raise UserError(f"{file} cannot be written ({error.strerror}): give a file in a writable folder.") from None
    finally:
        with suppress(OSError):  # where it could not be made, the system may refuse to look for it too
            scratch.unlink()
