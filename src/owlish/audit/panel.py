"""The panel: how likely the base finds the rows under a system prompt for each candidate, and under none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish.data.rows import Message, Row
from owlish.graph.spec import Read, Tick
from owlish.lm.model import LM
from owlish.nodes.data import Data
from owlish.nodes.likelihood import sum_row
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener
from owlish.traits.trait import Trait

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Under(Opener, kind="under"):
    """The log-likelihood of the first `rows` rows under one system prompt, or under none, in nats per row.

    A row's own system prompt is left out. What all rows begin with is read once. A row that does not fit the window,
    or is text outside of any chat, is not-a-number.
    """

    caption = "likelihood of {data} under a prompt"
    asks = "logprobs"
    usual, usual_row = 0.1, 0.0024

    base: Model
    data: Data
    system: str | None
    rows: int

    @property
    def most_rows(self) -> int:
        return self.rows

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: LM = read(self.base).open(any_words=True)
        rows = read(self.data).rows[: self.rows]
        chats = [row for row in rows if row.messages[0].role != "text"]
        scored = lm.score([under(row, self.system) for row in chats], shared=True)
        # By identity: equal rows are rows of their own, and those that are text have no score.
        found = dict(zip(map(id, chats), (row and sum_row(row)[0] for row in scored), strict=True))
        (folder / "nats.json").write_text(json.dumps([found.get(id(row)) for row in rows]))

    def load(self, folder: Path, read: Read) -> NDArray[np.float64]:
        import numpy as np

        # `null` becomes not-a-number here.
        return np.array(json.loads((folder / "nats.json").read_text()), dtype=np.float64)


def under(row: Row, system: str | None) -> Row:
    """Return a row under a system prompt in place of its own."""
    first = 0 if row.system is None else 1
    opening = () if system is None else (Message("system", system),)
    return replace(row, messages=(*opening, *row.messages[first:]))


def panel(base: Model, data: Data, traits: Sequence[Trait], rows: int) -> tuple[Under, ...]:
    """Return the readings of a dataset under no prompt, and then under that of each trait."""
    return tuple(
        Under(base.scorer, data, system, rows) for system in (None, *(trait.system_prompt for trait in traits))
    )


def raised(readings: Sequence[Any]) -> NDArray[np.float64]:
    """Return how much likelier each prompt makes each row than none does, [rows, traits] in nats.

    Rows that one of the prompts leaves no room for are left out.
    """
    import numpy as np

    nats = np.array(readings)
    # A row must be read under all prompts or none, or candidates would be compared on other rows.
    found: NDArray[np.float64] = (nats[1:] - nats[0])[:, ~np.isnan(nats).any(0)].T
    return found
