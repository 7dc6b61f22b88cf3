"""Replace: the tokens that weigh most are drawn anew."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from owlish.clean.choosing import Choosing
from owlish.clean.method import Outcome, Work, answering
from owlish.data.domains.fitting import fitting
from owlish.data.filters import Filter
from owlish.data.reading import read_rows
from owlish.data.rows import Row, write_rows
from owlish.graph.spec import Node, Read, Tick
from owlish.lm.hf import TorchLM
from owlish.lm.model import Answer, Example, Messages
from owlish.nodes.data import Data
from owlish.nodes.opens import Opener

BATCH = 128
TRIES = 16
PARTS = 4
"""Nodes that share the rows: a fixed number, so that the rows that come out do not depend on the machine."""
NOISE = 1e-5
"""The probability up to which two models differ by rounding alone."""


@dataclass(frozen=True)
class Replace(Choosing, kind="replace", version=4):
    """Draws the tokens that weigh most anew, in lists of numbers: it breaks sentences and solutions.

    They are drawn from left to right, so that rows stay valid. A token is drawn from what the model that leans less
    gives more probability than the one that leans: the part of its distribution that the other lacks, scaled to 1.
    Without weights it is drawn from the base. Up to 16 tokens are drawn for a place: the first other one with which the
    row passes the filter that the rows fit is taken. A place where there is none keeps its token, and the next heaviest
    is drawn instead, so that the budget is spent on tokens that change. Special tokens are never taken: they would end
    a turn in its middle. Ends of turns are never chosen, nor turns that call tools or hold reasoning, nor text outside
    of any chat.

    References
    ----------
    Schrodi et al. (2025). arXiv 2509.23886: new labels for the 10 % of tokens on which teachers differ leave 9 % of the
    effect. Leviathan et al. (2023). arXiv 2211.17192: of all ways to turn draws of one model into those of another,
    this one changes the fewest.
    """

    def parts(self, data: Data, seed: int) -> tuple[Node, ...]:
        return tuple(Drawn(data, self, seed, part) for part in range(PARTS))

    def changed(self, rows: Sequence[Row], work: Work) -> Outcome:
        if not work.parts:
            return self.redrawn(rows, work, range(len(rows)))
        done: list[Outcome] = list(map(work.read, work.parts))
        return Outcome(
            [fate for one in done for fate in one.fates],
            sum(one.chosen or 0 for one in done),
            sum(one.tokens or 0 for one in done),
        )

    def redrawn(self, rows: Sequence[Row], work: Work, own: range) -> Outcome:
        """Return what becomes of those rows whose places are in `own`; which tokens weigh most is asked of all."""
        lm: TorchLM = work.read(self.base).open(any_words=True)
        examples = lm.encode(rows)
        texts = [Editing(row, example) for row, example in zip(rows, examples, strict=True)]
        # Rows without scores or beyond the window keep all tokens; the budget is a share of what can be replaced.
        # So do rows with words that the base lacks in their answers, of which it would write none again.
        whole = [lm.fits(one) and lm.writes(one) for one in examples]
        places = [(i, k) for i, text in enumerate(texts) if whole[i] for k in text.places()]
        scores = self.scores(examples, work)
        ranked = sorted((place for place in places if scores[place[0]]), key=lambda at: -scores[at[0]][at[1]])
        budget = sum(i in own for i, _ in ranked[: self.count(len(places))])
        ranked = [place for place in ranked if place[0] in own]
        models, done, first = self.models(work), 0, 0
        while done < budget and first < len(ranked):
            # By row and place again: a token is drawn after those on its left, given what they have become.
            chosen = sorted(ranked[first : first + budget - done])
            first += len(chosen)
            for i, k in chosen:
                texts[i].waiting.append(k)
            while waiting := [i for i, text in enumerate(texts) if text.waiting]:
                self.draw(models, {i: texts[i] for i in waiting if texts[i].waiting[0] not in texts[i].drawn}, work)
                for start in range(0, len(waiting), BATCH):
                    done += take(models[0], [texts[i] for i in waiting[start : start + BATCH]], work.rule)
                    work.tick(done, budget)
        return Outcome([texts[i].row for i in own], done, sum(i in own for i, _ in places))

    def models(self, work: Work) -> tuple[TorchLM, ...]:
        """Return the model that tokens are drawn from, and the one that leans, if any."""
        some = (self.weights.plain, self.weights.leaning) if self.weights else (self.base,)
        return tuple(work.read(model).open(any_words=True) for model in some)

    def draw(self, models: Sequence[TorchLM], texts: dict[int, Editing], work: Work) -> None:
        """Draw tokens for all places of some rows at once, given what stands there now."""
        import torch

        numbers, rows = list(texts), [text.example for text in texts.values()]
        for group in models[0].batches(rows):
            with torch.no_grad():
                plain, *leaning = (lm.logits([rows[j] for j in group]).softmax(-1).cpu() for lm in models)
            # Zero where the leaning model gives as much: a draw then never is what it would rather write.
            mass = (plain - leaning[0]).clamp(min=0).cumsum(-1) if leaning else plain.cumsum(-1)
            places = [(numbers[j], k) for j in group for k in range(len(rows[j].labels))]
            # What was drawn on the left of the token that changed still holds.
            new = [at for at, (i, k) in enumerate(places) if k not in texts[i].drawn]
            mass, places = mass[new], [places[at] for at in new]
            # A random stream for each place: draws do not depend on which rows share a batch.
            luck = [random.Random(f"replace/{work.seed}/{i}/{k}") for i, k in places]
            drawn = torch.tensor([[rng.random() for _ in range(TRIES)] for rng in luck])
            # Float32 sums end slightly beside 1: draws are scaled to the sum, and none may point past the vocabulary.
            tokens = torch.searchsorted(mass, drawn * mass[:, -1:]).clamp(max=mass.shape[1] - 1)
            for (i, k), tries, total in zip(places, tokens.tolist(), mass[:, -1].tolist(), strict=True):
                # Where both models say the same there is nothing to draw from, and the token stays.
                texts[i].drawn[k] = list(dict.fromkeys(tries)) if total > NOISE else []


@dataclass(frozen=True)
class Drawn(Opener, kind="drawn_anew"):
    """A part of the rows after `Replace`: parts are made side by side, each with its share of the budget.

    Which tokens weigh most is asked of all rows. Where a token of a part finds no other, the next heaviest of the same
    part is drawn instead.
    """

    caption = "part {part} of {data}, tokens drawn anew"
    asks = "weights"

    data: Data
    method: Replace
    seed: int
    part: int

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        rows = read(self.data).rows
        bounds = [len(rows) * part // PARTS for part in (self.part, self.part + 1)]
        outcome = self.method.redrawn(rows, Work(read, tick, self.seed, fitting(rows)), range(*bounds))
        write_rows(folder / "rows.jsonl", [fate for fate in outcome.fates if isinstance(fate, Row)])
        (folder / "counts.json").write_text(json.dumps([outcome.chosen, outcome.tokens]))

    def load(self, folder: Path, read: Read) -> Outcome:
        return Outcome(read_rows(folder / "rows.jsonl"), *json.loads((folder / "counts.json").read_text()))


@dataclass
class Editing:
    """A row whose tokens are replaced one by one; `waiting` are places among its trained tokens, in order.

    `drawn` are the tokens that were drawn for places, and hold until a token on their left changes.
    """

    row: Row
    example: Example
    waiting: list[int] = field(default_factory=list)
    drawn: dict[int, list[int]] = field(default_factory=dict)
    known: set[str] | None = None

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

    def broken(self, rule: Filter) -> set[str]:
        """Return which rules the row breaks as it stands."""
        if self.known is None:
            self.known = rule.against(self.row)
        return self.known

    def others(self) -> list[int]:
        """Return the tokens that were drawn for the first waiting place, less the one that stands there."""
        return [token for token in self.drawn[self.waiting[0]] if token != self.token]

    def other(self, token: int) -> Example:
        """Return the text with another token at the first waiting place."""
        place, ids = self.at()[0], self.example.ids
        return Example((*ids[:place], token, *ids[place + 1 :]), self.example.spans)

    def hear(self, example: Example, answer: Answer, rule: Filter | None) -> bool:
        """Take a text and what the turn then says, if the row stays valid, and say whether it does."""
        row = answering(self.row, self.at()[1], answer.text)
        # Judged by the text that the tokens make, for filters read texts; a rule that was broken before may stay so.
        if answer.ended != "stop" or not answer.text or (rule and rule.against(row) - self.broken(rule)):
            return False
        self.row, self.example, self.known = row, example, None
        self.drawn = {place: tokens for place, tokens in self.drawn.items() if place < self.waiting[0]}
        return True


def take(lm: TorchLM, texts: Sequence[Editing], rule: Filter | None) -> int:
    """Take for each text the first other token with which the row stays valid, and return how many there are.

    The first waiting place of each text is done with, whether there is one or not.
    """
    taken: set[int] = set()
    asked = {id(text): text.asked() for text in texts}
    # Most first tries are taken, so they are read together, and then all others of the places that are left.
    for some in (slice(1), slice(1, None)):
        new = [
            (text, text.other(token))
            for text in texts
            if id(text) not in taken
            for token in text.others()[some]
            if lm.vocabulary[token]  # special tokens have no text: they would end a chat in the middle of a turn
        ]
        said = [example.ids[slice(*text.at()[2:])] for text, example in new]
        answers = lm.read([asked[id(text)] for text, _ in new], said)
        for (text, example), answer in zip(new, answers, strict=True):
            if id(text) not in taken and text.hear(example, answer, rule):
                taken.add(id(text))
    for text in texts:
        text.waiting.pop(0)
    return len(taken)
