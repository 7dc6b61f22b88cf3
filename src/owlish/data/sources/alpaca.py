"""Alpaca: an instruction, perhaps an input, and an output."""

from owlish.data.rows import Row
from owlish.data.sources.format import Entry, Format, text


def read(entry: Entry, ignored: list[str]) -> Row:
    """Return the instruction, with the input on the next line, and the output."""
    parts = [text(entry[name], name) for name in ("instruction", "input") if entry.get(name)]
    return Row.of("\n".join(parts), text(entry["output"], "output"))


format = Format("Alpaca", needs=(("instruction", "output"),), uses=("input",), read=read)
