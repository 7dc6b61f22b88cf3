"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from owlish.graph.errors import UserError

FULL = "no space is left on the disk. Free some, or name another place, and run the same command."
SMALL = 4_000_000
"""The most bytes of a file that a person wrote: a device has more, and no end."""


def is_full(error: Exception) -> bool:
    """Say whether an error is that of a full disk or a limit; writers of tensors tell it in the words of the system."""
    # A quota that is used up (EDQUOT) and a file that is too large (EFBIG) are told as a full disk: alike is the cure.
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return (isinstance(error, OSError) and error.errno in full) or any(os.strerror(one) in str(error) for one in full)


def read_small(file: str | Path, wanted: str) -> str:
    """Return the text of a file that a user names; `wanted` says what to give where it cannot be read."""
    try:
        with Path(file).open("rb") as stream:
            # One byte more than is allowed tells a file that is too long: a pipe or a
            # device names no size before it is read.
            content = stream.read(SMALL + 1)
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}): give {wanted}.") from None
    if len(content) > SMALL:
        raise UserError(f"{file} is longer than {SMALL / 1e6:g} MB: give {wanted}.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise UserError(f"{file} is not UTF-8: give {wanted}.") from None


def check_writable(folder: Path) -> None:
    """Raise `UserError` where no file can be made in a folder, or no such folder could be; nothing is left behind."""
    place = next(one for one in (folder.absolute(), *folder.absolute().parents) if os.path.exists(one))
    try:
        # By trying: rights, a full disk and a read-only mount all look alike to a test of modes.
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise UserError(f"{folder} cannot be written to ({error.strerror}): give another folder.") from None


def check_apart(out: str | Path, read: Iterable[str | Path]) -> None:
    """Raise `UserError` where a file to be written is one of those that are read."""
    # `samefile`, for one file may have two names. Rows are streamed, so it would be cut while it is read.
    if Path(out).exists() and any(Path(file).exists() and Path(out).samefile(file) for file in read):
        raise UserError(f"{out} is the dataset itself: give another file to write to.")


@contextmanager
def replacing(file: str | Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of `file` when the block ends well, and vanishes when it fails.

    What a killed process left of it is written over, so that the same command leaves nothing beside the file.
    """
    # Links are followed first: the rename below would replace a link itself, and leave the file behind it as it was.
    target = Path(file).resolve()
    try:
        if target.exists() and not target.is_file():
            raise UserError(f"{file} is not a file: give a file to write to.")
        scratch, stream = scratch_of(target)
        with stream:  # its lock is held until the file has its name: then nobody else writes there
            try:
                yield stream
                stream.flush()
                # Before the rename: after a power cut the name could otherwise stand for an empty file.
                os.fsync(stream.fileno())
                scratch.replace(target)
            except BaseException:
                with suppress(OSError):
                    scratch.unlink()
                raise
    except OSError as error:
        if is_full(error):
            raise UserError(f"{file} cannot be written: {FULL}") from None
        raise UserError(f"{file} cannot be written ({error.strerror}): give a file in a writable folder.") from None


def scratch_of(target: Path) -> tuple[Path, BinaryIO]:
    """Return an empty file beside `target` that nobody else writes.

    It has the same name each time, for what a killed process left; another one where that is being written just now,
    is no plain file, or lies where there are no locks.
    """
    known = target.with_name(f".owlish-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}.tmp")
    with suppress(OSError):
        descriptor = os.open(known, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_open(descriptor, known):
                os.ftruncate(descriptor, 0)
                return known, os.fdopen(descriptor, "wb")
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
    other = target.with_name(f".owlish-{secrets.token_hex(8)}.tmp")
    return other, other.open("xb")


def is_open(descriptor: int, path: Path) -> bool:
    """Say whether a descriptor is that of the file which is at a path now, if there is one."""
    try:
        # No other file gets this number as long as the descriptor is open.
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
