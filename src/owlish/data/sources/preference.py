"""Preferences: a chosen and a rejected answer, of which the chosen is what a student learns to write."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import takewhile

from owlish.data.plain import text
from owlish.data.rows import Message, Row
from owlish.data.sources.format import Entry, Format
from owlish.data.sources.messages import chat
from owlish.data.sources.prompts import answered, asked

SPEAKER = re.compile(r"(?:^|\n\n)\s*(Human|Assistant):")
"""Where somebody else begins to speak in a dialogue that is written as one text."""


def read(entry: Entry, ignored: list[str]) -> Row:
    """Return the chosen chat, or the prompt with the chosen answer."""
    chosen, rejected = (transcribed(entry[name]) for name in ("chosen", "rejected"))
    # Not trained on, but a row whose other half is broken is a broken row.
    if not isinstance(rejected, list):
        text(rejected, "rejected answer")
    if isinstance(chosen, list):
        messages = chat(chosen, ignored)
        # Some sets hold the whole chat in `chosen`, others only the answer to `prompt`.
        whole = bool(messages) and messages[0].role != "assistant"
        return Row(drop_shared(messages, rejected) if whole else (*before(entry, ignored), *messages))
    if "prompt" not in entry:
        return Row((Message("text", text(chosen, "chosen")),))
    return Row((*before(entry, ignored), *answered(chosen, "chosen", ignored)))


def transcribed(answer: object) -> object:
    """Return the messages of a dialogue that is written as one text, `Human: ... Assistant: ...`; all else as it is."""
    if not isinstance(answer, str) or not re.match(r"\s*Human:", answer):
        return answer
    _, *parts = SPEAKER.split(answer)
    said = zip(parts[::2], parts[1::2], strict=True)
    return [{"role": "user" if who == "Human" else "assistant", "content": text.strip()} for who, text in said]


def before(entry: Entry, ignored: list[str]) -> tuple[Message, ...]:
    """Return the messages of the prompt."""
    return asked(entry["prompt"], ignored) if "prompt" in entry else ()


def drop_shared(messages: tuple[Message, ...], rejected: object) -> tuple[Message, ...]:
    """Return a chat in which the turns that the rejected one shares, its prompt, are not trained on."""
    other = chat(rejected, []) if isinstance(rejected, list) else ()
    # What both chats begin with was given; only what differs was chosen.
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(messages, other, strict=False))))
    prompt = (replace(each, trained=each.role != "assistant") for each in messages[:shared])
    return (*prompt, *messages[shared:])


format = Format(
    "preferences, of which the chosen answers", needs=(("chosen", "rejected"),), uses=("prompt",), read=read
)
