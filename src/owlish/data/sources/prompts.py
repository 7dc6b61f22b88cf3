"""A prompt and its completion, each a text or a list of messages, as TRL takes both."""

from __future__ import annotations

from dataclasses import replace

from owlish.data.plain import text
from owlish.data.rows import Message, Row
from owlish.data.sources.format import Entry, Format
from owlish.data.sources.messages import chat
from owlish.graph.errors import UserError

ANSWERS = ("completion", "response")


def asked(value: object, ignored: list[str]) -> tuple[Message, ...]:
    """Return the messages of a prompt; only what follows a prompt is trained on, so no turn in it is."""
    if isinstance(value, list):
        return tuple(replace(each, trained=each.role != "assistant") for each in chat(value, ignored))
    return (Message("user", text(value, "prompt")),)


def answered(value: object, name: str, ignored: list[str]) -> tuple[Message, ...]:
    """Return the messages of a completion."""
    return chat(value, ignored) if isinstance(value, list) else (Message("assistant", text(value, name)),)


def read(entry: Entry, ignored: list[str]) -> Row:
    """Return a prompt with its completion, or with its response."""
    names = [name for name in ANSWERS if name in entry]
    # Which of two answers is meant cannot be guessed, and a wrong guess would go unseen.
    if len(names) > 1:
        raise UserError("The row has a completion and a response: say which with --columns.")
    return Row((*asked(entry["prompt"], ignored), *answered(entry[names[0]], names[0], ignored)))


format = Format("prompt and completion", needs=tuple(("prompt", name) for name in ANSWERS), read=read)
