"""Scores of rows by two writers: a classifier's log-odds, and the log-ratio of two models' likelihoods."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from owlish.graph.spec import Node, Read, Tick
from owlish.graph.tabled import Brief
from owlish.lm.hf import TorchLM
from owlish.nodes.asked import freeze, mean
from owlish.nodes.base import Base
from owlish.nodes.data import Data
from owlish.nodes.likelihood import Likelihood
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener
from owlish.study.stats import auroc

Rows = Sequence[Sequence[int]]

FOLDS = 5


@dataclass(frozen=True)
class Scores(Brief):
    """The score of each row of two writers, in folds: a positive one favours the first writer."""

    folds: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]

    def accuracy(self, bag: int) -> float:
        """Return how often the right one of two bags of rows, one by each writer, has the higher score.

        A fold compares all of its bags, so this is the area under the ROC curve, and no threshold is chosen.
        Chance is .5; ties count half.
        """
        return mean([auroc(*(sums(scores, bag) for scores in fold)) for fold in self.folds])


def sums(scores: Sequence[float], bag: int) -> list[float]:
    """Return the sums of bags of consecutive rows; a rest is left out."""
    # A short bag at the end would have a smaller score for being short.
    return [math.fsum(scores[i : i + bag]) for i in range(0, len(scores) - bag + 1, bag)]


@dataclass(frozen=True)
class Scored(Node, kind="separated"):
    """Rows of two writers, each with a score; positive favours the first writer."""

    data: Data
    other: Data

    def load(self, folder: Path, read: Read) -> Scores:
        return Scores(freeze(json.loads((folder / "leanings.json").read_text())))


@dataclass(frozen=True)
class Classified(Scored, Opener, kind="classified"):
    """Two writers' rows before a classifier: every fifth row by one that was trained on the other rows.

    Multinomial naive Bayes on the tokens of the completions, one added to every count; prompts are not shown.
    A row's score is its log-odds. McCallum and Nigam (1998), A comparison of event models for naive Bayes text
    classification.
    """

    caption = "classifying {data}"
    asks = "weights"

    base: Base

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: TorchLM = read(self.base).open()
        # Without the ends of turns, which all rows have.
        sides = [lm.encode(read(data).rows, end=False) for data in (self.data, self.other)]
        rows = [[example.labels for example in side] for side in sides]
        folds = []
        for fold in range(FOLDS):
            # Trained on the other folds alone: a classifier flatters itself on rows that it has seen.
            known = [[row for i, row in enumerate(side) if i % FOLDS != fold] for side in rows]
            folds.append([log_odds(side[fold::FOLDS], *known) for side in rows])
        (folder / "leanings.json").write_text(json.dumps(folds))


def log_odds(rows: Rows, first: Rows, second: Rows) -> list[float]:
    """Return the log-odds of the first writer against the second, for each row of token ids, from rows of both."""
    counts = [Counter(chain.from_iterable(known)) for known in (first, second)]
    kinds = len(counts[0] | counts[1])
    # Each count has one added, so a token that one writer never wrote does not decide a row by itself.
    shift = math.log((counts[1].total() + kinds) / (counts[0].total() + kinds))
    return [math.fsum(math.log((counts[0][t] + 1) / (counts[1][t] + 1)) + shift for t in row) for row in rows]


@dataclass(frozen=True)
class LikelihoodRatio(Scored, kind="weighed", version=2):
    """Two writers' rows, scored by the log-probability of the completion under `model` less that under `against`.

    Under the base with either trait's system prompt, this is a judge that looks inside the base. Under the two
    writers it is their likelihood ratio, which no other test of a row beats (filtering aside).
    """

    caption = "{model} against {against} on {data}"

    model: Model
    against: Model

    def likelihoods(self) -> list[tuple[Likelihood, Likelihood]]:
        """Return how likely either model finds the rows of both writers."""
        return [(Likelihood(self.model, d), Likelihood(self.against, d)) for d in (self.data, self.other)]

    def inputs(self) -> tuple[Node, ...]:
        return tuple(one for pair in self.likelihoods() for one in pair)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        scores = [(read(ours).sums - read(theirs).sums).tolist() for ours, theirs in self.likelihoods()]
        # One fold: nothing was trained here, so no row must be held out.
        (folder / "leanings.json").write_text(json.dumps([scores]))
