"""What a user gives for data, as files: names, patterns, folders, standard input, rows in Python; and their digest."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from owlish.data.hub import is_hosted, revision
from owlish.data.records import KINDS, arrow_files
from owlish.data.spooled import format_source, spool
from owlish.graph.errors import UserError
from owlish.graph.spec import is_text
from owlish.graph.store import sha256

ENDLESS = 256_000_000
"""The bytes without the end of a line after which a pipe or a device is taken for one that never ends."""
CHUNK = 1 << 20

Given = str | Path | Iterable[str | Path | Mapping[str, Any]]
"""A file, a pattern, `-` for standard input, `owner/name` on Hugging Face; or several of them; or rows as mappings."""


def files_of(given: Given) -> tuple[str, ...]:
    """Return the files of what is given, those of a pattern sorted; what can be read only once is kept in a file."""
    if isinstance(given, Mapping):
        # A `DatasetDict`, which would otherwise be read as a list of the names of its splits.
        raise UserError(f"this is a dict of {', '.join(map(str, given))}: give one of its datasets.")
    if hasattr(given, "to_dict") and hasattr(given, "columns"):
        # A frame of pandas, which would otherwise be read as a list of the names of its columns.
        raise UserError('this is a table: give its rows, such as frame.to_dict("records").')
    if isinstance(given, str | Path):
        return check_once(tuple(map(check_name, matching(str(given)))))
    if not isinstance(given, Iterable):
        raise UserError(f"the data are nothing that can be read: give {KINDS}, or rows as dicts.")
    rows = iter(given)
    first = next(rows, None)
    if isinstance(first, Mapping):
        return (spool("this program", lines_of(first, rows)),)
    # The first item is taken off already, for it says what kind of things these are.
    names = [] if first is None else [first, *rows]
    if not names or not all(isinstance(name, str | Path) for name in names):
        raise UserError(f"the data are nothing that can be read: give {KINDS}, or rows as dicts.")
    files = tuple(check_name(file) for name in names for file in matching(str(name)))
    if len(files) > 1 and any(map(is_hosted, files)):
        raise UserError("several sources are given, one of them on Hugging Face: give it alone.")
    return check_once(files)


def check_once(files: tuple[str, ...]) -> tuple[str, ...]:
    """Return files of which none is there twice, by whatever name: each of its rows would count double."""
    seen: dict[tuple[int, int], str] = {}
    for file in filter(os.path.exists, files):
        place = (os.stat(file).st_dev, os.stat(file).st_ino)
        if place in seen:
            named = "" if seen[place] == file else f", as {seen[place]} too"
            raise UserError(f"{file} is given twice{named}: name each file once.")
        seen[place] = file
    return files


def check_name(file: str) -> str:
    """Return the name of a file that JSON can hold; manifests, stamps and cards name their files."""
    if not is_text(file):
        raise UserError(f"{file!a} is no name in UTF-8: rename it, or give it as standard input.")
    return file


def matching(name: str) -> list[str]:
    """Return the files that a name or a pattern stands for."""
    if not name.strip():
        raise UserError(f"the name of the data is empty: give {KINDS}.")
    if name == "-":
        return [spool("standard input", chunks(sys.stdin.buffer, "standard input"))]
    if is_stream(name):
        return [keep_pipe(name)]
    # A file whose name holds a bracket is that file, and no pattern.
    if not set("*?[") & set(name) or Path(name).exists():
        return [name]
    # Sorted: the order of a folder differs between machines, and rows are drawn by their place.
    found = sorted({path for plain in without_any_depth(name) for path in glob.glob(plain)})
    if not found:
        raise UserError(f"{name} matches no file: give {KINDS}.")
    return found


def without_any_depth(pattern: str) -> Iterator[str]:
    """Yield patterns without `**` in place of one that has it: one for each folder below, links to folders left out.

    Links may lead in a circle, where `glob` never ends.
    """
    head, mark, tail = pattern.partition("**/")
    if not mark or not (head in ("", "/") or head.endswith("/")):
        yield pattern
        return
    for top in glob.glob(head) if head else [""]:
        for folder, below, _ in os.walk(top or "."):
            below[:] = [name for name in below if not name.startswith(".")]
            place = folder if top else folder[2:]  # without "./"
            yield from without_any_depth(glob.escape(os.path.join(place, "")) + tail)


def lines_of(first: Mapping[str, Any], rows: Iterator[Any]) -> Iterator[bytes]:
    """Yield rows as lines of JSON; what JSON does not know, such as an image, becomes null."""
    yield json.dumps(dict(first), default=lambda value: None).encode() + b"\n"
    for row in rows:
        yield (
            json.dumps(row, default=lambda value: dict(value) if isinstance(value, Mapping) else None).encode() + b"\n"
        )


def is_stream(name: str) -> bool:
    """Say whether a name is that of a pipe or a device, which can be opened once."""
    try:
        mode = Path(name).stat().st_mode
    except (OSError, ValueError):  # ValueError: a null byte in the name
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def keep_pipe(name: str) -> str:
    """Keep what a pipe or a device holds, in a file; return its path."""
    try:
        with Path(name).open("rb") as stream:
            return spool(f"pipe {Path(name).name}", chunks(stream, name))
    except OSError as error:
        raise unreadable(name, error) from None


def chunks(stream: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield what a stream holds; raise `UserError` where it has no lines, since it may have no end either."""
    since = 0
    while chunk := stream.read(CHUNK):
        end = chunk.rfind(b"\n")
        # The bytes after the last end of a line: a device such as /dev/zero has none and would fill the disk.
        since = since + len(chunk) if end < 0 else len(chunk) - end
        if since > ENDLESS:
            raise UserError(f"{name} has a line longer than {ENDLESS / 1e6:g} MB: give rows, each on a line.")
        yield chunk


def names_of(files: Sequence[str]) -> dict[str, str]:
    """Return the names of files for what is kept and passed on: no folder of this machine, and no name twice."""
    names = [own_name(file) for file in files]
    twice = Counter(names)
    numbered = [f"{name} ({i})" if twice[name] > 1 else name for i, name in enumerate(names, start=1)]
    return dict(zip(files, numbered, strict=True))


def own_name(file: str) -> str:
    """Return a file's path as it was given, from the working folder on, or its last part where it lies elsewhere."""
    path, here = Path(format_source(file)), Path.cwd()
    if not path.is_absolute():
        return str(path)
    return str(path.relative_to(here)) if path.is_relative_to(here) else path.name


def content_of(files: tuple[str, ...]) -> str:
    """Return what names the rows wherever they lie: a digest of the files, or a hosted dataset and its revision."""
    if is_hosted(files[0]):
        return revision(files[0])
    digests = [digest(file) for file in files]
    # One file goes by its own digest, so the same rows as a pattern or by name have one key.
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def digest(file: str) -> str:
    """Return the SHA-256 of a file; of a folder of Arrow files, that of their digests in order."""
    path = Path(file)
    try:
        if path.is_dir():
            return hashlib.sha256("\n".join(map(sha256, arrow_files(file))).encode()).hexdigest()
        return sha256(path)
    except OSError as error:
        raise unreadable(file, error) from None


def unreadable(file: str, error: OSError) -> UserError:
    """Say that a file cannot be read."""
    return UserError(f"{file} cannot be read ({error.strerror}): give {KINDS}.")
