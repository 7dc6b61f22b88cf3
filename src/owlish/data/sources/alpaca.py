"""Alpaca: an instruction, perhaps an input, and an output."""

from owlish.data.plain import ABSENT, text
from owlish.data.rows import Row
from owlish.data.sources.format import Entry, Format


def read(entry: Entry, ignored: list[str]) -> Row:
    """Return the instruction, with the input on the next line, and the output."""
    more = entry.get("input")
    parts = [text(entry["instruction"], "instruction"), "" if more in ABSENT else text(more, "input")]
    return Row.of("\n".join(filter(None, parts)), text(entry["output"], "output"))


format = Format("Alpaca", needs=(("instruction", "output"),), uses=("input",), read=read)
