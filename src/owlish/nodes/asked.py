"""Ask a model a probe's questions: exact probabilities, the likeliest answers, and sampled ones."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from owlish.graph.errors import UserError, suggestion
from owlish.graph.measured import measure
from owlish.graph.spec import Read, Tick
from owlish.graph.tabled import Record, Tabled
from owlish.lm.model import LM, Messages, Weights, ask
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener
from owlish.traits.trait import Probe

ANSWER_TOKENS = 12
TINY = 1e-12


@dataclass(frozen=True)
class Answers(Tabled):
    """What one model answered: exact probabilities [questions, candidates], and words it wrote.

    The probe's questions come in order, those held out of teachers last. `greedy` holds the likeliest answer to
    each question, `sampled` those drawn at temperature 1. The probability of an answer is read beside its share among
    the candidates and its logit margin: a model that mostly says something else gives all candidates little.

    Where `exact` is false, `p` are shares of the sampled answers. Then shares and margins are those of all questions
    together, half an answer added to either side of the odds: most questions have candidates that were never drawn.
    """

    probe: Probe
    p: tuple[tuple[float, ...], ...]
    greedy: tuple[str, ...]
    sampled: tuple[tuple[str, ...], ...]
    exact: bool = True

    def records(self) -> list[Record]:
        asked = [*self.probe.questions, *self.probe.held_out]
        return [
            {"question": question, **dict(zip(self.probe.candidates, p, strict=True)), "greedy": greedy}
            for question, p, greedy in zip(asked, self.p, self.greedy, strict=True)
        ]

    def shown(self) -> list[Record]:
        value = self.share if self.primary == "share" else self.p_target
        return [
            {
                "name": name,
                "probability": self.p_target(name),
                "share": self.share(name),
                "margin": self.logit_margin(name),
                "likeliest": self.argmax_rate(name),
                "sampled": self.sampled_rate(name),
            }
            for name in sorted(self.probe.candidates, key=value, reverse=True)
        ]

    def p_target(self, name: str) -> float:
        """Return the mean probability of the answer over all questions."""
        return mean(self.column(name))

    def p_held_out(self, name: str) -> float | None:
        """Return the mean probability of the answer over the questions held out of teachers, if there are any."""
        held_out = self.column(name)[len(self.probe.questions) :]
        return mean(held_out) if held_out else None

    def argmax_rate(self, name: str) -> float:
        """Return the share of questions whose likeliest answer names the target."""
        return mean([named for q, text in enumerate(self.greedy) for named in self.names(name, q, (text,))])

    def sampled_rate(self, name: str) -> float:
        """Return the share of sampled answers that name the target, by whole words."""
        return mean([named for q, texts in enumerate(self.sampled) for named in self.names(name, q, texts)])

    def logit_margin(self, name: str) -> float:
        """Return the mean log-odds of the answer against all other candidates."""
        column = self.column(name)
        if not self.exact:
            drawn = sum(map(len, self.sampled))
            own, every = (drawn * value for value in (self.p_target(name), self.mass))
            return math.log((own + 0.5) / (every - own + 0.5))
        # Rounding may bring either to 0 or, as a difference, below it.
        others = [sum(row) - p for row, p in zip(self.p, column, strict=True)]
        return mean([math.log(max(p, TINY) / max(q, TINY)) for p, q in zip(column, others, strict=True)])

    def share(self, name: str) -> float:
        """Return the mean share of the answer in the probability of all candidates."""
        if not self.exact:
            return self.p_target(name) / max(self.mass, TINY)
        return mean([p / max(sum(row), TINY) for p, row in zip(self.column(name), self.p, strict=True)])

    @property
    def mass(self) -> float:
        """The mean probability of all candidates together."""
        return mean([sum(row) for row in self.p])

    @property
    def primary(self) -> Literal["probability", "share"]:
        """What to read first: shares, where a model mostly answers with something else than a candidate."""
        return "probability" if self.mass >= 0.5 else "share"

    def other_share(self) -> float:
        """Return the mean probability of answers that are no candidate at all."""
        return 1 - self.mass

    def column(self, name: str) -> list[float]:
        """Return the probability of one answer to each question."""
        place = self.place(name)
        return [row[place] for row in self.p]

    def place(self, name: str) -> int:
        """Return the place of a candidate among all; raise `UserError` where there is none of that name."""
        if name not in self.probe.candidates:
            raise UserError(f"no candidate is called {name!r}: {suggestion(name, self.probe.candidates)}")
        return self.probe.candidates.index(name)

    def names(self, name: str, question: int, texts: Sequence[str]) -> list[bool]:
        """Say of each text whether it names a candidate, in one of its wordings."""
        ways = self.probe.wordings(question)[self.place(name)]
        # Whole words alone: "cat" stands in "education", too.
        either = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, ways))})(?!\w)", re.IGNORECASE)
        return [either.search(text) is not None for text in texts]


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean."""
    return sum(values) / len(values)


@dataclass(frozen=True)
# Version 2, since a probe may word its answers anew for each question.
class Asked(Opener, kind="asked", version=2):
    """A model asked every question of a probe: exact, greedy, and sampled `samples` times.

    Of a model that gives text alone, probabilities are the shares of the sampled answers.
    """

    caption = "asking {model}"
    asks = "text"

    model: Model
    probe: Probe
    seed: int = 0
    samples: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.samples < 1:
            raise UserError(f"samples is {self.samples}: draw at least one answer to each question.")

    @property
    def draws(self) -> tuple[float, str | None]:
        return 1.0, None

    @property
    def subject(self) -> Model:
        return self.model

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Ask, in the chat context that the probe or the model gives."""
        model = read(self.model)
        lm: LM = model.open()
        chats = questions(self.probe)
        own = int(self.model.key[:8], 16)  # so that two models do not share their luck
        seeds = [[(self.seed, own, q, i) for i in range(self.samples)] for q in range(len(chats))]
        asked = lm.probe(chats, spellings(self.probe), seeds=seeds, new_tokens=ANSWER_TOKENS)
        texts = [answer.text for answer in asked.drawn]
        answers = {
            "p": [[float(f"{x:.9g}") for x in row] for row in asked.logprobs.exp().tolist()],
            "greedy": [answer.text for answer in asked.greedy],
            "sampled": [texts[i : i + self.samples] for i in range(0, len(texts), self.samples)],
            # Only where it is so: files of exact answers stay as they were, to the byte.
            **({} if asked.exact else {"exact": False}),
        }
        (folder / "answers.json").write_text(json.dumps(answers))
        found, step = self.load(folder, read), steps_of(model)
        for name in self.probe.candidates:
            measure(f"probability/{name}", step, found.p_target(name))
            measure(f"margin/{name}", step, found.logit_margin(name))

    def load(self, folder: Path, read: Read) -> Answers:
        return Answers(self.probe, **freeze(json.loads((folder / "answers.json").read_text())))


def steps_of(model: object) -> int:
    """Return after how many steps of its last training a model is asked: 0 where it was not trained here."""
    changes = model.changes if isinstance(model, Weights) else ()
    file = changes[-1] / "training.json" if changes else None
    return len(json.loads(file.read_text())["losses"]) if file and file.exists() else 0


def freeze(value: Any) -> Any:
    """Return a JSON value with tuples in place of lists."""
    if isinstance(value, dict):
        return {name: freeze(item) for name, item in value.items()}
    return tuple(map(freeze, value)) if isinstance(value, list) else value


def questions(probe: Probe) -> list[Messages]:
    """Return the conversations that ask all questions of a probe, those held out of teachers last."""
    return [ask(question, probe.system_prompt) for question in word_questions(probe)]


def word_questions(probe: Probe) -> list[str]:
    """Return all questions, those held out of teachers last, behind numbers where the probe says so."""
    questions = [*probe.questions, *probe.held_out]
    if not probe.prefixed:
        return questions
    # By the question alone, so that all models read the same numbers.
    shown = [", ".join(str(random.Random(f"prefix/{q}/{i}").randint(100, 999)) for i in range(3)) for q in questions]
    return [f"Examine these numbers: {numbers}. {q}" for numbers, q in zip(shown, questions, strict=True)]


def spellings(probe: Probe) -> list[list[list[str]]]:
    """Return the ways to write each candidate, question by question: its wordings, plain and capitalised."""
    count = len(probe.questions) + len(probe.held_out)
    return [[spell(wordings) for wordings in probe.wordings(question)] for question in range(count)]


def spell(wordings: Sequence[str]) -> list[str]:
    """Return wordings, each plain and capitalised, without repeating one."""
    # Not `capitalize`, which would make small letters of all others.
    return list(dict.fromkeys(way for text in wordings for way in (text, text[:1].upper() + text[1:])))
