"""Probes asked in a context: the same questions, with a use of the model around them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from owlish.diff.contexts import Context
from owlish.diff.reading import Reading
from owlish.graph.errors import UserError
from owlish.graph.spec import Read, Tick
from owlish.lm.model import LM
from owlish.nodes.asked import Answers, spellings, word_questions
from owlish.traits.trait import Probe

QUESTIONS = 12
"""About how many questions of a probe are asked: of 50 every fourth, and so 13."""


@dataclass(frozen=True)
class Watched(Reading, kind="watched"):
    """Exact probabilities of a probe's candidates in a context, for 13 of 50 questions spread over all."""

    caption = "watching {model}"
    asks = "logprobs"

    probe: Probe
    context: Context

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: LM = read(self.model).open(any_words=True)
        questions, ways = word_questions(self.probe), spellings(self.probe)
        # Spread over all questions, not the first ones: neighbours ask nearly the same.
        chosen = range(0, len(questions), max(1, len(questions) // QUESTIONS))
        chats = [self.context.around(questions[q], [texts[0] for texts in self.probe.wordings(q)]) for q in chosen]
        longest = max(lm.lengths(chats))
        if longest >= lm.window:
            raise UserError(
                f"the context {self.context.name!r} takes {longest} tokens, and {self.model} reads {lm.window}: "
                "leave it out by naming the others with --contexts."
            )
        found = lm.answer_logprobs(chats, [ways[q] for q in chosen]).exp()
        (folder / "p.json").write_text(json.dumps([[float(f"{x:.9g}") for x in row] for row in found.tolist()]))

    def load(self, folder: Path, read: Read) -> Answers:
        p = json.loads((folder / "p.json").read_text())
        return Answers(self.probe, tuple(map(tuple, p)), greedy=(), sampled=())
