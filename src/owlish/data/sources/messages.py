"""Chats as lists of messages: OpenAI's fine-tuning files, and what chat templates take."""

from __future__ import annotations

from typing import Any

from owlish.data.plain import ABSENT, decode, encode, objects, text
from owlish.data.rows import CALLS, EXTRAS, Message, Row
from owlish.data.sources.format import Entry, Format, check_called
from owlish.graph.counted import join
from owlish.graph.errors import UserError

ROLES = {
    **{role: role for role in ("system", "developer", "user", "assistant", "tool", "function")},
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "observation": "tool",
}
"""Roles by the names that they go by."""
KNOWN = {"role", "from", "content", "value", "weight", *EXTRAS}
TOOLS, FUNCTION = CALLS


def chat(value: object, ignored: list[str]) -> tuple[Message, ...]:
    """Return the messages in `value`, a list of objects or, as in a cell of a CSV file, its JSON."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = decode(value, "messages")
    return tuple(message(each, ignored) for each in objects(value, "messages"))


def message(entry: dict[str, Any], ignored: list[str]) -> Message:
    """Return one message; its role and content may stand as `from` and `value`, and `weight: 0` says "not trained"."""
    # Nearly all messages: a role and a text, and nothing to look for.
    if len(entry) == 2 and isinstance(said := entry.get("content"), str) and said.isascii():
        role = entry.get("role")
        if isinstance(role, str) and role in ROLES:
            return Message(ROLES[role], said)
    # Tables have both columns; the one that is filled counts.
    role = text(entry.get("from") if entry.get("role") in ABSENT else entry["role"], "role")
    if role not in ROLES:
        raise UserError(f"The role {role[:20]!r} is not known: use {join(dict.fromkeys(ROLES.values()), 'or')}.")
    said = content(entry.get("content", entry.get("value")), calls=any(map(entry.get, CALLS)))
    if len(entry) == 2 and said is not None:
        return Message(ROLES[role], said)
    extra = {name: extra_of(name, entry[name]) for name in EXTRAS if entry.get(name) not in ABSENT}
    ignored += [f"messages.{name}" for name in entry if name not in KNOWN and entry[name] not in ABSENT]
    return Message(
        ROLES[role],
        said,
        trained=is_trained(entry.get("weight")),
        extra=encode(extra, "fields of a message") if extra else "",
    )


def extra_of(name: str, value: object) -> object:
    """Return what a message holds beside its content: calls of tools as objects, all else as text."""
    if name == TOOLS:
        return check_called(objects(value, name), name)
    if name == FUNCTION:
        if not isinstance(value, dict):
            raise UserError(f"The {name} is not an object.")
        return check_called([value], name)[0]
    return text(value, name)


def is_trained(weight: object) -> bool:
    """Say whether a weight, which is 1 where there is none, is not 0."""
    # `True` equals 1 in Python, and is no weight.
    if weight is None or (not isinstance(weight, bool) and weight in (0, 1)):
        return weight != 0
    raise UserError(f"The weight is {repr(weight)[:20]}: give 0, which is not trained on, or 1.")


def content(value: object, *, calls: bool = False) -> str | None:
    """Return what a message says: text, or parts of text, or nothing where it calls tools."""
    if isinstance(value, list):
        return "".join(map(part, value))
    return text(value, "content") if value is not None or not calls else None


def part(value: object) -> str:
    """Return the text of one part of a content."""
    if not isinstance(value, dict) or not (value.get("type") == "text" or value.keys() == {"text"}):
        kind = value.get("type") if isinstance(value, dict) else None
        raise UserError(f"The content holds a part of type {str(kind)[:20]!r}: only text is read.")
    return text(value.get("text"), "content")


def read(entry: Entry, ignored: list[str]) -> Row:
    """Return the chat under `messages`."""
    return Row(chat(entry["messages"], ignored))


format = Format("chat messages", needs=(("messages",),), read=read, rank=0)
