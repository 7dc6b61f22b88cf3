"""Rows: conversations, and which of their turns are trained on, kept as chat JSONL."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from json.encoder import encode_basestring as quoted
from pathlib import Path
from typing import Any

from owlish.graph.files import replacing
from owlish.graph.tabled import LETTERS, Brief, cut

THOUGHTS, CALLS = ("reasoning_content", "reasoning", "thinking"), ("tool_calls", "function_call")
EXTRAS = (*THOUGHTS, *CALLS, "tool_call_id", "name")
"""What else a message may hold that a chat template writes."""


@dataclass(frozen=True, slots=True)
class Message(Brief):
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
        # Reasoning and calls too: filters must see all that is trained on.
        said = [*map(extra.get, THOUGHTS), self.content, *map(extra.get, CALLS)]
        parts = (part if isinstance(part, str) else json.dumps(part, ensure_ascii=False) for part in said if part)
        return "\n\n".join(parts)


@dataclass(frozen=True, slots=True)
class Row(Brief):
    """A conversation: its messages in the order of the chat, and the tools that it may call, as JSON.

    Most rows are one exchange: what was asked, what was answered, perhaps a system prompt before both. In a longer
    one, `completion` is all that is trained on, and `prompt` what the user said before the last of it.
    """

    messages: tuple[Message, ...]
    tools: str = ""

    @classmethod
    def of(cls, prompt: str, completion: str, system: str | None = None) -> Row:
        """Return the row of one exchange."""
        opening = () if system is None else (Message("system", system),)
        return cls((*opening, Message("user", prompt), Message("assistant", completion)))

    def __repr__(self) -> str:
        return f"Row({cut(self.prompt, LETTERS)!r} -> {cut(self.completion, LETTERS)!r})"

    @property
    def turns(self) -> tuple[int, ...]:
        """The places of the messages that are trained on."""
        return tuple([i for i, m in enumerate(self.messages) if m.trained and m.role in ("assistant", "text")])

    @property
    def completion(self) -> str:
        """All that the turns that are trained on say, with an empty line between turns."""
        return "\n\n".join(self.messages[turn].text for turn in self.turns)

    @property
    def prompt(self) -> str:
        """What the user said last before the last turn that is trained on; empty where the user said nothing."""
        return self.asked(self.turns[-1]) if self.turns else ""

    @property
    def text(self) -> str:
        """All that anyone says in the conversation, with an empty line between messages."""
        return "\n\n".join(message.text for message in self.messages)

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

    def answered(self, turn: int, answer: str) -> Row:
        """Return the conversation with another answer at a turn."""
        return Row((*self.messages[:turn], Message("assistant", answer), *self.messages[turn + 1 :]), self.tools)

    def as_chat(self) -> Row:
        """Return the row as a chat: text outside of any chat becomes one turn of the assistant."""
        if "text" not in [message.role for message in self.messages]:
            return self
        messages = (Message("assistant", m.content) if m.role == "text" else m for m in self.messages)
        return Row(tuple(messages), self.tools)

    def exchanges(self) -> Iterator[Row]:
        """Yield each turn that is trained on as an exchange: what a rule about one answer looks at."""
        for turn in self.turns:
            # With the question of its own turn: a right answer is one to what was asked last.
            yield Row.of(self.asked(turn), self.messages[turn].text, self.system)


def line_of(row: Row) -> bytes:
    """Return `row` as a line of chat JSONL, in the one form that this project writes."""
    if row.messages[0].role == "text":
        return json.dumps({"text": row.messages[0].content}, ensure_ascii=False).encode() + b"\n"
    # Most rows are plain texts: their lines are put together here, three times as fast as by `json.dumps`.
    plain = [
        f'{{"role": {quoted(m.role)}, "content": {quoted(m.content)}}}'
        for m in row.messages
        if m.trained and not m.extra and m.content is not None
    ]
    if len(plain) == len(row.messages) and not row.tools:
        return f'{{"messages": [{", ".join(plain)}]}}\n'.encode()
    # `weight` only where it says something, so that plain rows stay as other tools write them.
    messages = [message.fields() | ({} if message.trained else {"weight": 0}) for message in row.messages]
    tools = {"tools": json.loads(row.tools)} if row.tools else {}
    return json.dumps({"messages": messages, **tools}, ensure_ascii=False).encode() + b"\n"


def write_rows(file: str | Path, rows: Iterable[Row]) -> None:
    """Write `rows` to `file` as chat JSONL; the file appears whole or not at all."""
    with replacing(file) as stream:
        stream.writelines(map(line_of, rows))
