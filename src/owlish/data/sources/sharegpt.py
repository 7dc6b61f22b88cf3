"""ShareGPT: a chat under `conversations`, whose messages have `from` and `value`."""

from owlish.data.rows import Row
from owlish.data.sources.format import Entry, Format
from owlish.data.sources.messages import chat


def read(entry: Entry, ignored: list[str]) -> Row:
    """Return the chat under `conversations`."""
    return Row(chat(entry["conversations"], ignored))


format = Format("ShareGPT", needs=(("conversations",),), read=read)
