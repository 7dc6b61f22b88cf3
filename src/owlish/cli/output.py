"""Standard output that survives closed pipes, full disks and terminals without our letters; work that is lost."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from owlish.graph.tabled import inert


class Lost(Exception):
    """A command was interrupted that keeps nothing of what it did."""


class Output(io.TextIOWrapper):
    """Text to a file descriptor; once its reader has gone away, what follows is dropped without an error.

    The command-line library would turn a closed pipe into exit code 1, which an audit uses for *found*.
    """

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            self.drop()
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            self.drop()

    def drop(self) -> None:
        """Send what is still buffered, and all that follows, nowhere."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        # The descriptor itself, for the buffer is written once more when Python ends.
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def guard_stream(stream: TextIO | None, kind: type[Output]) -> TextIO:
    """Return a stream in place of `stream` that also writes what its encoding lacks, as escapes such as \\u2019."""
    if stream is None:  # the caller closed it: what is said goes nowhere, and the exit code still tells
        return open(os.devnull, "w")
    if not isinstance(stream, io.TextIOWrapper):  # a notebook or a test took its place
        return stream
    encoding, lines = stream.encoding, stream.line_buffering
    # A terminal without our letters gets escapes: a crash in the last line would lose the verdict.
    return kind(stream.detach(), encoding=encoding, errors="backslashreplace", line_buffering=lines)


class Shown(Output):
    """Text of rows and names of files, in which a terminal finds nothing to obey."""

    def write(self, text: str) -> int:
        return super().write(inert(text))


def guard() -> None:
    """Put guarded streams in place of standard output and standard error."""
    # bars are drawn on standard error by commands of a terminal: whoever prints a name there makes it inert
    sys.stdout, sys.stderr = guard_stream(sys.stdout, Shown), guard_stream(sys.stderr, Output)
