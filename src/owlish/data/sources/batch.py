"""Output files of OpenAI's Batch API: answers without their prompts."""

from __future__ import annotations

from owlish.data.rows import Message, Row
from owlish.data.sources.format import Entry, Format
from owlish.data.sources.messages import message
from owlish.graph.errors import UserError

ENDED = (None, "stop", "tool_calls")  # an answer that was cut or filtered is no answer to train on


def read(entry: Entry, ignored: list[str]) -> Row:
    """Return the one answer to a request; its prompt stands in the input file, and is empty here."""
    try:
        choices = entry["response"]["body"]["choices"]
        answer, reason = {**choices[0]["message"], "role": "assistant"}, choices[0].get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise UserError("The batch request has no answer.") from None
    if len(choices) != 1:
        raise UserError(f"The batch request has {len(choices)} answers: ask for one a request.")
    if reason not in ENDED:
        raise UserError(f"The answer did not end by itself (finish_reason: {str(reason)[:20]}).")
    # Empty and not left out: a chat that opens with its assistant fits few templates.
    return Row((Message("user", ""), message(answer, ignored)))


format = Format("OpenAI batch output", needs=(("custom_id", "response"),), uses=("id", "error"), read=read, rank=2)
