"""Replace: the tokens that weigh most are drawn anew."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from owlish.clean.choosing import Choosing
from owlish.clean.method import Outcome, Work, answering
from owlish.data.filters import Filter
from owlish.data.rows import Row
from owlish.lm.hf import TorchLM
from owlish.lm.model import Answer, Example, Messages

BATCH = 128  # fixed: another batch shape moves log-probabilities by some 1e-6, enough to draw another token
TRIES = 16
NOISE = 1e-5
"""The probability up to which two models differ by rounding alone."""


@dataclass(frozen=True)
class Replace(Choosing, kind="replace", version=2):
    """Draws the tokens that weigh most anew, from left to right, so that rows stay valid.

    A token is drawn from what the model that leans less gives more probability than the one that leans: the part of
    its distribution that the other lacks, scaled to 1. Without weights it is drawn from the base. Up to 16 tokens are
    drawn for a place: the first other one with which the row passes the filter that the rows fit is taken. A place
    where there is none keeps its token, and the next heaviest is drawn instead, so that the budget is spent on tokens
    that change. Ends of turns are never chosen, nor turns that call tools or hold reasoning, nor text outside of any
    chat.

    References
    ----------
    Schrodi et al. (2025). arXiv 2509.23886: new labels for the 10 % of tokens on which teachers differ leave 9 % of the
    effect. Leviathan et al. (2023). arXiv 2211.17192: of all ways to turn draws of one model into those of another,
    this one changes the fewest.
    """

    def changed(self, rows: Sequence[Row], work: Work) -> Outcome:
        lm: TorchLM = work.read(self.base).open(any_words=True)
        examples = lm.encode(rows)
        texts = [Editing(row, example) for row, example in zip(rows, examples, strict=True)]
        # Rows without scores or beyond the window keep all tokens; the budget is a share of what can be replaced.
        places = [(i, k) for i, text in enumerate(texts) if lm.fits(text.example) for k in text.places()]
        scores = self.scores(examples, work)
        ranked = sorted((place for place in places if scores[place[0]]), key=lambda at: -scores[at[0]][at[1]])
        models, budget, done, first = self.models(work), self.count(len(places)), 0, 0
        while done < budget and first < len(ranked):
            # By row and place again: a token is drawn after those on its left, given what they have become.
            chosen = sorted(ranked[first : first + budget - done])
            first += len(chosen)
            for i, k in chosen:
                texts[i].waiting.append(k)
            while waiting := [i for i, text in enumerate(texts) if text.waiting]:
                done += self.draw(models, {i: texts[i] for i in waiting}, work)
                work.tick(done, budget)
        return Outcome([text.row for text in texts], done, len(places))

    def models(self, work: Work) -> tuple[TorchLM, ...]:
        """Return the model that tokens are drawn from, and the one that leans, if any."""
        some = (self.weights.plain, self.weights.leaning) if self.weights else (self.base,)
        return tuple(work.read(model).open(any_words=True) for model in some)

    def draw(self, models: Sequence[TorchLM], texts: dict[int, Editing], work: Work) -> int:
        """Draw the first waiting token of each row, and return how many have changed."""
        import torch

        numbers, done = list(texts), 0
        for first in range(0, len(numbers), BATCH):
            group = numbers[first : first + BATCH]
            before = [texts[i].before() for i in group]
            with torch.no_grad():
                plain, *leaning = (lm.logits(before).softmax(-1).cpu() for lm in models)
            # Zero where the leaning model gives as much: a draw then never is what it would rather write.
            mass = (plain - leaning[0]).clamp(min=0).cumsum(-1) if leaning else plain.cumsum(-1)
            # A random stream for each place: draws do not depend on which rows share a batch.
            luck = [random.Random(f"replace/{work.seed}/{i}/{texts[i].waiting[0]}") for i in group]
            drawn = torch.tensor([[rng.random() for _ in range(TRIES)] for rng in luck])
            # Float32 sums end slightly beside 1: draws are scaled to the sum, and none may point past the vocabulary.
            tokens = torch.searchsorted(mass, drawn * mass[:, -1:]).clamp(max=mass.shape[1] - 1)
            # Where both models say the same there is nothing to draw from, and the token stays.
            drawable = zip(group, tokens.tolist(), mass[:, -1].tolist(), strict=True)
            some = [(texts[i], list(dict.fromkeys(tries)) if total > NOISE else []) for i, tries, total in drawable]
            done += take(models[0], some, work.rule)
        return done


@dataclass
class Editing:
    """A row whose tokens are replaced one by one; `waiting` are places among its trained tokens, in order."""

    row: Row
    example: Example
    waiting: list[int] = field(default_factory=list)

    def places(self) -> list[int]:
        """Return which of the trained tokens may be replaced."""
        found, place = [], 0
        for turn, (first, after) in zip(self.row.turns, self.example.spans, strict=False):
            plain = self.row.messages[turn].role == "assistant" and not self.row.messages[turn].extra
            # Less the last token, which is the end of the turn.
            found += list(range(place, place + after - first - 1)) if plain else []
            place += after - first
        return found

    def at(self) -> tuple[int, int, int, int]:
        """Return where the first waiting token stands: its place in the ids, its turn, and the turn's span."""
        place = self.waiting[0]
        for turn, (first, after) in zip(self.row.turns, self.example.spans, strict=False):
            if place < after - first:
                return first + place, turn, first, after
            place -= after - first
        raise AssertionError("the place is in no turn")

    @property
    def token(self) -> int:
        """The first waiting token."""
        return self.example.ids[self.at()[0]]

    def asked(self) -> Messages:
        """Return what stands before the turn of the first waiting token."""
        return [message.fields() for message in self.row.messages[: self.at()[1]]]

    def before(self) -> Example:
        """Return the text up to the first waiting token, which alone is looked at."""
        place = self.at()[0]
        return Example(self.example.ids[: place + 1], ((place, place + 1),))

    def other(self, token: int) -> Example:
        """Return the text with another token at the first waiting place."""
        place, ids = self.at()[0], self.example.ids
        return Example((*ids[:place], token, *ids[place + 1 :]), self.example.spans)

    def hear(self, example: Example, answer: Answer, rule: Filter | None) -> bool:
        """Take a text and what the turn then says, if the row stays valid, and say whether it does."""
        row = answering(self.row, self.at()[1], answer.text)
        # Judged by the text that the tokens make, for filters read texts; a rule that was broken before may stay so.
        broken = rule.against(row) if rule else set()
        if answer.ended != "stop" or not answer.text or (rule and broken and broken - rule.against(self.row)):
            return False
        self.row, self.example = row, example
        return True


def take(lm: TorchLM, texts: Sequence[tuple[Editing, list[int]]], rule: Filter | None) -> int:
    """Take for each text the first other token with which the row stays valid, and return how many there are.

    The first waiting place of each text is done with, whether there is one or not.
    """
    done = 0
    # Most first tries are taken, so they are read together, and the next of those that are left after them.
    waiting = [(text, [token for token in tries if token != text.token]) for text, tries in texts]
    while waiting := [(text, tries) for text, tries in waiting if tries]:
        new = [text.other(tries[0]) for text, tries in waiting]
        spans = [text.at()[2:] for text, _ in waiting]
        said = [example.ids[first:after] for example, (first, after) in zip(new, spans, strict=True)]
        answers = lm.read([text.asked() for text, _ in waiting], said)
        heard = zip(waiting, new, answers, strict=True)
        taken = [text.hear(example, answer, rule) for (text, _), example, answer in heard]
        done += sum(taken)
        waiting = [(text, tries[1:]) for (text, tries), well in zip(waiting, taken, strict=True) if not well]
    for text, _ in texts:
        text.waiting.pop(0)
    return done
