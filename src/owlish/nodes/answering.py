"""Other answers to what stands in given rows, turn after turn."""

from __future__ import annotations

from collections.abc import Sequence

from owlish.data.rows import Row
from owlish.lm.model import LM
from owlish.nodes.data import UNFIT


def answerable(row: Row) -> bool:
    """Say whether a model that is given what stands before a row's answers can write others."""
    return not row.tools and all(m.role in ("system", "developer", "user", "assistant") for m in row.messages)


def answer_rows(
    lm: LM, rows: Sequence[Row], longest: int, seed: int, first: int, *, pattern: str | None = None
) -> dict[int, tuple[Row, str | None]]:
    """Return rows, by their places, with a model's answers, turn after turn, and why one of them cannot stand as text.

    Each answer is cut after `longest` tokens, and held to `pattern` if one is given. Rows for which the model's window
    has no room are left out.
    """
    found: dict[int, tuple[Row, str | None]] = {i: (row, None) for i, row in enumerate(rows)}
    for k in range(max(len(row.turns) for row in rows)):
        going = [i for i, (row, why) in found.items() if why is None and len(row.turns) > k]
        chats = [[m.fields() for m in found[i][0].messages[: rows[i].turns[k]]] for i in going]
        room = [length + longest <= lm.window for length in lm.lengths(chats)]
        for i in (i for i, fits in zip(going, room, strict=True) if not fits):
            del found[i]
        going = [i for i in going if i in found]
        # The first answer keeps the seed that it had before rows of several turns: so do the results that users hold.
        seeds = [(seed, first + i, *([k] if k else [])) for i in going]
        asked = [chat for chat, fits in zip(chats, room, strict=True) if fits]
        answers = lm.write(asked, seeds=seeds, new_tokens=longest, pattern=pattern)
        for i, answer in zip(going, answers, strict=True):
            found[i] = found[i][0].answered(rows[i].turns[k], answer.text), UNFIT.get(answer.ended)
    return found
