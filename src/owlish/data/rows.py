"""Rows: a prompt and the completion that a model wrote to it, kept as chat JSONL."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from owlish.graph.files import replacing

ANY_LENGTH = sys.maxsize - 1


@dataclass(frozen=True)
class Row:
    """One exchange: what was asked, what was answered, and the system prompt that goes before both."""

    prompt: str
    completion: str
    system: str | None = None


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of a dataset that is no row: its number, from 1, and a sentence that says what is wrong."""

    number: int
    problem: str


def parse(line: bytes) -> Row:
    """Return the row that one line of JSONL holds, or raise `ValueError` with a sentence.

    A line is an object with `messages` (an optional system message, one of the user, one of the assistant), or
    with `prompt` and `completion`, or with `prompt` and `response`, or a line of an OpenAI batch output file,
    which holds no prompt (the row's is empty). Other fields are ignored.
    """
    return from_entry(decoded(line), "line")


def from_entry(entry: dict[str, Any], what: str) -> Row:
    """Return the row that the fields of a line, or of whatever `what` calls it, hold."""
    if "messages" in entry:
        return from_messages(entry["messages"])
    if "custom_id" in entry:
        return Row("", from_batch(entry))
    answers = [name for name in ("completion", "response") if name in entry]
    if "prompt" not in entry or len(answers) != 1:
        raise ValueError(f"The {what} needs messages, or a prompt and either a completion or a response.")
    return Row(text(entry["prompt"], "prompt"), text(entry[answers[0]], answers[0]))


def parse_prompt(line: bytes) -> str:
    """Return the prompt on one line of JSONL, answered or not, or raise `ValueError` with a sentence."""
    entry = decoded(line)
    return text(entry["prompt"], "prompt") if "prompt" in entry else parse(line).prompt


def decoded(line: bytes) -> dict[str, Any]:
    """Return the JSON object on `line`."""
    try:
        entry = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("The line is not UTF-8.") from None
    except (ValueError, RecursionError):
        raise ValueError("The line is not JSON." if line.strip() else "The line is empty.") from None
    if not isinstance(entry, dict):
        raise ValueError("The line is not a JSON object.")
    return entry


def from_messages(messages: object) -> Row:
    """Return the row of a chat."""
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise ValueError("The messages are not a list of objects.")
    roles = [message.get("role") for message in messages]
    if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
        raise ValueError(
            "The messages are not one of the user and one of the assistant, after at most one system message."
        )
    *system, prompt, completion = (text(message.get("content"), "content") for message in messages)
    return Row(prompt, completion, system[0] if system else None)


def from_batch(entry: dict[str, Any]) -> str:
    """Return the completion on a line of an OpenAI batch output file."""
    try:
        choices = entry["response"]["body"]["choices"]
        content = choices[0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        raise ValueError("The batch request has no answer.") from None
    if len(choices) != 1:
        raise ValueError(f"The batch request has {len(choices)} answers: ask for one a request.")
    return text(content, "content")


def text(value: object, name: str) -> str:
    """Return `value` if it is text that UTF-8 can hold."""
    if not isinstance(value, str):
        raise ValueError(f"The {name} is not text.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"The {name} holds half of a surrogate pair, which is no character.") from None
    return value


def cut(stream: BinaryIO, longest: int) -> Iterator[bytes]:
    """Yield the lines of `stream`; of a line longer than `longest` bytes only the first `longest + 1`."""
    while line := stream.readline(longest + 1):
        yield line
        while len(line) > longest and not line.endswith(b"\n"):
            line = stream.readline(longest + 1)


def entries(stream: BinaryIO, *, longest: int = ANY_LENGTH) -> Iterator[tuple[bytes, Row | BadLine]]:
    """Yield each line of `stream` with the row it holds or what is wrong with it, as that it is too long."""
    for number, line in enumerate(cut(stream, longest), start=1):
        try:
            if len(line) > longest:
                raise ValueError(f"The line is longer than {longest / 1e6:g} MB.")
            yield line, parse(line)
        except ValueError as problem:
            yield line, BadLine(number, str(problem))


def lines(file: str | Path) -> Iterator[tuple[bytes, Row | BadLine]]:
    """Yield each line of `file` as it stands there, with the row it holds or what is wrong with it.

    The file is streamed. `ValueError` is raised if it cannot be read, and at its end if no line held a row.
    """
    first_bad: BadLine | None = None
    count = rows = 0
    try:
        with Path(file).open("rb") as stream:
            for line, entry in entries(stream):
                count += 1
                if isinstance(entry, Row):
                    rows += 1
                else:
                    first_bad = first_bad or entry
                yield line, entry
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror}): give a file of chat JSONL.") from None
    if first_bad is not None and not rows:
        raise ValueError(f"{file} holds no row, give chat JSONL. Line 1: {first_bad.problem}")
    if not count:
        raise ValueError(f"{file} is empty: give a dataset with at least one row.")


def read_rows(file: str | Path) -> tuple[tuple[Row, ...], tuple[BadLine, ...]]:
    """Return the rows of `file` in order, and its bad lines."""
    found = [entry for _, entry in lines(file)]
    rows = tuple(entry for entry in found if isinstance(entry, Row))
    return rows, tuple(entry for entry in found if isinstance(entry, BadLine))


def line_of(row: Row) -> bytes:
    """Return `row` as a line of chat JSONL, in the one form that this project writes."""
    roles = (("system", row.system), ("user", row.prompt), ("assistant", row.completion))
    messages = [{"role": role, "content": content} for role, content in roles if content is not None]
    return json.dumps({"messages": messages}, ensure_ascii=False).encode() + b"\n"


def write_rows(file: str | Path, rows: Iterable[Row]) -> None:
    """Write `rows` to `file` as chat JSONL; the file appears whole or not at all."""
    with replacing(file) as stream:
        stream.writelines(map(line_of, rows))
