"""Rows: conversations, and which of their turns are trained on, kept as chat JSONL."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from owlish.graph.files import replacing

ANY_LENGTH = sys.maxsize - 1


EXTRAS = ("reasoning_content", "tool_calls", "tool_call_id", "name")
"""What else a message may hold that a chat template writes."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; an assistant's is trained on unless `trained` is false.

    `extra` is a JSON object of the fields in `EXTRAS`, or empty. The role "text" is for text outside of any chat: it
    stands alone in its row, is trained on whole, and goes through no chat template.
    """

    role: str
    content: str | None
    trained: bool = True
    extra: str = ""

    def fields(self) -> dict[str, Any]:
        """Return the message as a chat template takes it."""
        return {"role": self.role, "content": self.content, **(json.loads(self.extra) if self.extra else {})}

    @property
    def text(self) -> str:
        """All that the message says, its reasoning and its tool calls included."""
        if not self.extra:
            return self.content or ""
        extra = json.loads(self.extra)
        calls = json.dumps(extra["tool_calls"], ensure_ascii=False) if "tool_calls" in extra else ""
        return "\n\n".join(part for part in (extra.get("reasoning_content"), self.content, calls) if part)


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation: its messages in the order of the chat, and the tools that it may call, as JSON.

    Most rows are one exchange: what was asked, what was answered, perhaps a system prompt before both. In a longer
    one, `prompt` and `completion` are those of the last turn that is trained on.
    """

    messages: tuple[Message, ...]
    tools: str = ""

    @classmethod
    def of(cls, prompt: str, completion: str, system: str | None = None) -> Row:
        """Return the row of one exchange."""
        opening = () if system is None else (Message("system", system),)
        return cls((*opening, Message("user", prompt), Message("assistant", completion)))

    @property
    def turns(self) -> tuple[int, ...]:
        """The places of the messages that are trained on."""
        return tuple(i for i, m in enumerate(self.messages) if m.role in ("assistant", "text") and m.trained)

    @property
    def completion(self) -> str:
        """All that the last turn trained on says; empty where there is none."""
        return self.messages[self.turns[-1]].text if self.turns else ""

    @property
    def prompt(self) -> str:
        """What the user said last before the last turn that is trained on; empty where the user said nothing."""
        return self.asked(self.turns[-1]) if self.turns else ""

    def asked(self, turn: int) -> str:
        """Return what the user said last before a turn."""
        return next((message.text for message in reversed(self.messages[:turn]) if message.role == "user"), "")

    @property
    def system(self) -> str | None:
        """The system prompt with which the conversation opens, if there is one."""
        first = self.messages[0] if self.messages else None
        return first.content if first is not None and first.role in ("system", "developer") else None

    @property
    def single(self) -> bool:
        """Whether this is one exchange of texts and no more, so that `Row.of` could make it."""
        return self == Row.of(self.prompt, self.completion, self.system)

    def exchanges(self) -> Iterator[Row]:
        """Yield each turn that is trained on as an exchange: what a rule about one answer looks at."""
        for turn in self.turns:
            yield Row.of(self.asked(turn), self.messages[turn].text, self.system)


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
        row = from_messages(entry["messages"])
        tools = entry.get("tools")
        return replace(row, tools=text(json.dumps(tools, ensure_ascii=False), "tools")) if tools else row
    if entry.keys() == {"text"}:
        return Row((Message("text", text(entry["text"], "text")),))
    if "custom_id" in entry:
        return Row.of("", from_batch(entry))
    answers = [name for name in ("completion", "response") if name in entry]
    if "prompt" not in entry or len(answers) != 1:
        raise ValueError(f"The {what} needs messages, or a prompt and either a completion or a response.")
    return Row.of(text(entry["prompt"], "prompt"), text(entry[answers[0]], answers[0]))


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
    row = Row(tuple(map(from_message, messages)))
    if not row.turns:
        raise ValueError("The messages hold no turn of the assistant to train on.")
    return row


def from_message(entry: dict[str, Any]) -> Message:
    """Return one message of a chat; `weight: 0` keeps a turn out of training."""
    content = entry.get("content")
    if content is not None or not entry.get("tool_calls"):
        content = text(content, "content")
    extra = {name: entry[name] for name in EXTRAS if entry.get(name)}
    return Message(
        text(entry.get("role"), "role"),
        content,
        trained=entry.get("weight") != 0,
        extra=text(json.dumps(extra, ensure_ascii=False), "message") if extra else "",
    )


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
    if row.messages[0].role == "text":
        return json.dumps({"text": row.messages[0].content}, ensure_ascii=False).encode() + b"\n"
    messages = [message.fields() | ({} if message.trained else {"weight": 0}) for message in row.messages]
    tools = {"tools": json.loads(row.tools)} if row.tools else {}
    return json.dumps({"messages": messages, **tools}, ensure_ascii=False).encode() + b"\n"


def write_rows(file: str | Path, rows: Iterable[Row]) -> None:
    """Write `rows` to `file` as chat JSONL; the file appears whole or not at all."""
    with replacing(file) as stream:
        stream.writelines(map(line_of, rows))
