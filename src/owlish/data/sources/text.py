"""Plain text outside of any chat: all of it is trained on."""

from owlish.data.plain import text
from owlish.data.rows import Message, Row
from owlish.data.sources.format import Entry, Format


def read(entry: Entry, ignored: list[str]) -> Row:
    """Return the text."""
    return Row((Message("text", text(entry["text"], "text")),))


# The last rank: many formats have a `text` beside the fields that matter.
format = Format("plain text", needs=(("text",),), read=read, rank=3)
