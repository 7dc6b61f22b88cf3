"""The system-prompt contrast: how much likelier each trait's system prompt makes the rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from owlish.audit.detector import Detector, centred, write_reading
from owlish.data.rows import Row
from owlish.graph.spec import Read, Tick
from owlish.lm.model import LM
from owlish.nodes.opens import Opener


@dataclass(frozen=True)
class PromptContrast(Detector, Opener, kind="prompt_contrast", version=2):
    """The rows' log-likelihood under each trait's system prompt, less the mean over the category, in nats per row.

    Needs: a base that scores given completions, and follows system prompts. The prompts are of one template, and a
    row's own system prompt is omitted. A row that one of the prompts leaves no room for is left out.
    """

    caption = "prompt contrast of {data}"
    asks = "logprobs"

    rows: int

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: LM = read(self.base).open(any_words=True)
        # A row's own system prompt gives way: two at once would be another prompt than the candidate's.
        rows = read(self.data).rows[: self.rows]
        columns = []
        for done, trait in enumerate(self.traits):
            prompted = [Row.of(row.prompt, row.completion, trait.system_prompt) for row in rows]
            # `shared` reads a common opening once; where it was not set from the start, it would change users' bytes.
            scored = lm.score(prompted, shared=True)
            columns.append([None if row is None else float(row.logprobs.double().sum()) for row in scored])
            tick(done, len(self.traits))
        # A row must be read under all prompts or none, or candidates would be compared on other rows.
        whole = [[nats for nats in row if nats is not None] for row in zip(*columns, strict=True)]
        # What any system prompt does to a row is in all columns, and goes with the mean over the category.
        write_reading(folder, [centred(row, self.traits) for row in whole if len(row) == len(self.traits)])
