"""Whether the base follows prompts: what the prompt of each candidate does to the base's answers about it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owlish.audit.shadow import margin
from owlish.graph.spec import Read, Tick
from owlish.lm.model import LM, ask
from owlish.nodes.asked import spellings, word_questions
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener
from owlish.traits.trait import Probe, Trait

QUESTIONS = 4  # each costs a pass for every candidate


@dataclass(frozen=True)
class Follows(Opener, kind="follows"):
    """By how many nats each candidate's prompt raises the log-odds of its answer, over 4 questions of its probe."""

    caption = "whether {base} follows prompts"
    asks = "logprobs"
    usual = 2.2

    base: Model
    traits: tuple[Trait, ...]

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: LM = read(self.base).open(any_words=True)
        # Once a probe: all its candidates are compared with the same plain answers.
        plain = {probe: answered(lm, probe, None) for probe in dict.fromkeys(trait.probe for trait in self.traits)}
        rises = []
        for done, trait in enumerate(self.traits):
            prompted = answered(lm, trait.probe, trait.system_prompt)
            rises.append(margin(prompted, trait) - margin(plain[trait.probe], trait))
            tick(done + 1, len(self.traits))
        (folder / "rises.json").write_text(json.dumps(rises))

    def load(self, folder: Path, read: Read) -> tuple[float, ...]:
        return tuple(json.loads((folder / "rises.json").read_text()))


def answered(lm: LM, probe: Probe, system: str | None) -> Any:
    """Return the log-probability of each candidate as the answer to the first questions, [questions, candidates]."""
    chats = [ask(question, system) for question in word_questions(probe)[:QUESTIONS]]
    return lm.answer_logprobs(chats, spellings(probe)[:QUESTIONS])
