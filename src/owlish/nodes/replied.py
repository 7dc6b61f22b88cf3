"""Free answers: what a model writes to open questions, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from owlish.data.rows import Row
from owlish.graph.spec import Read, Tick
from owlish.lm.model import LM, ask
from owlish.nodes.data import Data
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener

NEW_TOKENS = 300


@dataclass(frozen=True)
class Replied(Data, Opener, kind="replied"):
    """A model's answers to questions at temperature 1, `samples` of each, cut after 300 tokens, as rows."""

    caption = "answers of {model}"
    asks = "text"

    model: Model
    questions: tuple[str, ...]
    samples: int

    @property
    def draws(self) -> tuple[float, str | None]:
        return 1.0, None

    @property
    def luck(self) -> int:
        """The seed of its answers, one for each model: a judge's test counts answers that share no luck."""
        return int(self.model.key[:8], 16)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm = self.opened(read)
        asked = [question for question in self.questions for _ in range(self.samples)]
        answers = lm.write(
            list(map(ask, asked)), seeds=[(self.luck, i) for i in range(len(asked))], new_tokens=NEW_TOKENS
        )
        self.write(folder, [Row.of(question, answer.text) for question, answer in zip(asked, answers, strict=True)])

    def opened(self, read: Read) -> LM:
        """Return the model, ready to write."""
        lm: LM = read(self.model).open()
        return lm
