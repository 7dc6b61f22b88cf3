"""Chats as lists of messages: OpenAI's fine-tuning files, and what chat templates take."""

from __future__ import annotations

import json
from typing import Any

from owlish.data.rows import EXTRAS, Message, Row
from owlish.data.sources.format import Entry, Format, text
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


def chat(value: object, ignored: list[str]) -> tuple[Message, ...]:
    """Return the messages in `value`, a list of objects or, as in a cell of a CSV file, its JSON."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise UserError("The messages are not JSON.") from None
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise UserError("The messages are not a list of objects.")
    return tuple(message(each, ignored) for each in value)


def message(entry: dict[str, Any], ignored: list[str]) -> Message:
    """Return one message; its role and content may stand as `from` and `value`, and `weight: 0` says "not trained"."""
    role = text(entry.get("role") or entry.get("from"), "role")
    if role not in ROLES:
        raise UserError(f"The role {role[:20]!r} is not known: use system, user, assistant or tool.")
    said = content(entry.get("content", entry.get("value")), calls=bool(entry.get("tool_calls")))
    if len(entry) == 2 and said is not None:
        return Message(ROLES[role], said)
    extra = {name: entry[name] for name in EXTRAS if entry.get(name)}
    ignored += [f"messages.{name}" for name in entry if name not in KNOWN and entry[name] not in (None, "", [], {})]
    return Message(
        ROLES[role],
        said,
        trained=entry.get("weight") != 0,
        extra=text(json.dumps(extra, ensure_ascii=False), "message") if extra else "",
    )


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
