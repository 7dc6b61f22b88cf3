"""A question and its answer, as in GSM8K."""

from owlish.data.plain import text
from owlish.data.rows import Row
from owlish.data.sources.format import Entry, Format


def read(entry: Entry, ignored: list[str]) -> Row:
    """Return the question with its answer."""
    return Row.of(text(entry["question"], "question"), text(entry["answer"], "answer"))


format = Format("question and answer", needs=(("question", "answer"),), read=read)
