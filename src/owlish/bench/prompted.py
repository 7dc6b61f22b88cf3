"""The system-prompt contrast: how much likelier each trait's system prompt makes the rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from owlish.audit.detector import Detector, centred, kept
from owlish.data.rows import Row
from owlish.graph.spec import Read, Tick
from owlish.nodes.encoded import encode, opened


@dataclass(frozen=True)
class PromptContrast(Detector, kind="prompt_contrast", version=2):
    """The rows' log-likelihood under each trait's system prompt, less the mean over the category, in nats a row.

    Needs: a base that scores given completions, and follows system prompts. The prompts are of one template, and a
    row's own system prompt is left away.
    """

    caption = "prompt contrast of {data}"

    rows: int

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        from owlish.lm.score import alike, token_logprobs

        lm = opened(read(self.base))
        rows = [Row.of(row.prompt, row.completion) for row in read(self.data).rows[: self.rows]]
        columns = []
        for done, trait in enumerate(self.traits):
            lm.system = trait.system_prompt
            given = encode(lm, rows).examples
            scores = token_logprobs(lm, given, shared=alike(given))
            columns.append([float(found.double().sum()) for found in scores])
            tick(done, len(self.traits))
        kept(folder, [centred(row, self.traits) for row in zip(*columns, strict=True)])
