"""Which rows speak for a trait, and which tokens in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish.audit.contrast import Contrast
from owlish.audit.direction import Move, ground, leanings, names_of, slopes
from owlish.audit.evidence import Weighed
from owlish.data.reading import Place
from owlish.data.rows import Row, line_of
from owlish.graph.errors import UserError
from owlish.graph.spec import Node, Read, Tick
from owlish.lm.hf import Direction, TorchLM
from owlish.lm.model import Example
from owlish.nodes.data import Dataset
from owlish.nodes.models import Model
from owlish.nodes.opens import Opener
from owlish.traits.trait import Trait

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHOWN = 12
HEAVIEST = 5
"""The most tokens of a row that are named with their text."""
STEP = 0.1
"""The part of a direction that a step takes: small, so that the scores of a row's tokens sum up to the row's own."""


@dataclass(frozen=True)
class Token:
    """A token of a row: its place among the trained tokens of the row, from 0 on, its text, and its score in nats."""

    place: int
    text: str
    score: float


@dataclass(frozen=True)
class Scores:
    """How far rows lean to each candidate, and their trained tokens to one of them, in nats.

    `rows` is float32 [rows, traits], not-a-number where a row is left out; `tokens` holds float32 [trained tokens]
    for each row, towards `toward`, and `heaviest` those with most, named. `left_out` says why rows have no score.
    """

    traits: tuple[Trait, ...]
    toward: Trait
    rows: NDArray[np.float32]
    tokens: tuple[NDArray[np.float32], ...]
    heaviest: tuple[tuple[Token, ...], ...]
    left_out: dict[int, str]

    def toward_rows(self) -> NDArray[np.float32]:
        """Return the score of each row towards the trait whose tokens are scored."""
        found: NDArray[np.float32] = self.rows[:, self.traits.index(self.toward)]
        return found


@dataclass(frozen=True)
class Toward(Node, kind="toward"):
    """What is read of the first `contrast.rows` rows of `contrast.data` along the direction of the trait `toward`."""

    contrast: Contrast
    toward: Trait

    @property
    def teacher(self) -> Model:
        """The weak teacher of the trait: a model that leans to it."""
        return self.contrast.writers[self.contrast.traits.index(self.toward)]

    def inputs(self) -> tuple[Node, ...]:
        """Return what the contrast would read, and not its reading."""
        return self.contrast.inputs()

    def opened(self, read: Read) -> tuple[TorchLM, Sequence[Row]]:
        """Return the base, and the rows."""
        # Float32: a token's score is a difference over a step of a tenth.
        lm = ground(read(self.contrast.base), exact=True)
        return lm, read(self.contrast.data).rows[: self.contrast.rows]


@dataclass(frozen=True)
class RowScores(Toward, Opener, kind="row_scores"):
    """The `Scores` of the first `contrast.rows` rows of `contrast.data`; the tokens' are towards the trait `toward`.

    A row's score is the directional derivative of its log-likelihood along a trait's direction: a step in the
    direction makes the row likelier by so many nats, to first order. Its mean over rows is what the contrast reads.
    It costs a gradient for each row, whatever the number of traits.
    """

    caption = "scores of {contrast.data}, row by row"
    asks = "weights"
    usual = 10.0

    def check(self) -> None:
        super().check()
        if self.toward not in self.contrast.traits:
            raise UserError(f"{self.toward.name} is none of the candidates: name one that is.")

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        from safetensors.torch import save_file

        lm, rows = self.opened(read)
        examples = lm.encode(rows)
        moves = self.contrast.moves(lm, read)
        leaning = by_row(lm, examples, moves, self.contrast.traits, tick)
        scored = by_token(lm, rows, self.contrast.direction(lm, read, self.toward))
        tokens, heaviest = zip(*(named(lm, e, scored.get(i)) for i, e in enumerate(examples)), strict=True)
        save_file({"rows": leaning, **flat(tokens)}, folder / "scores.safetensors")
        long = f"longer than the {lm.window} tokens that the base reads"
        left_out = {i: example.problem or long for i, example in enumerate(examples) if not lm.fits(example)}
        (folder / "rows.json").write_text(json.dumps({"heaviest": heaviest, "left_out": left_out}))

    def load(self, folder: Path, read: Read) -> Scores:
        from safetensors.numpy import load_file

        held, plain = load_file(folder / "scores.safetensors"), json.loads((folder / "rows.json").read_text())
        return Scores(
            traits=self.contrast.traits,
            toward=self.toward,
            rows=held["rows"],
            tokens=split_rows(held),
            heaviest=tuple(tuple(Token(*token) for token in row) for row in plain["heaviest"]),
            left_out={int(index): why for index, why in plain["left_out"].items()},
        )


@dataclass(frozen=True)
class Tokens:
    """A number for each trained token of each row, float32 [trained tokens] each; none for a row that is left out."""

    tokens: tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Stepped(Toward, Opener, kind="stepped"):
    """The log-probabilities of the rows' tokens after a step of the part `by` of the direction of `toward`."""

    caption = "{contrast.data} read after a step along the direction of {toward.name}"
    asks = "weights"
    usual, usual_row = 1.0, 0.005

    by: float

    @property
    def most_rows(self) -> int:
        return self.contrast.rows

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        import torch
        from safetensors.torch import save_file

        lm, rows = self.opened(read)
        found = stepped(lm, rows, self.contrast.direction(lm, read, self.toward), self.by)
        tokens = [found[i].cpu() if i in found else torch.zeros(0) for i in range(len(rows))]
        save_file(flat(tokens), folder / "tokens.safetensors")

    def load(self, folder: Path, read: Read) -> Tokens:
        return read_tokens(folder)


@dataclass(frozen=True)
class TokenScores(Toward, kind="token_scores"):
    """The scores that `RowScores` gives the tokens, where none of whole rows are wanted: no gradient is taken."""

    caption = "scores of {contrast.data}, token by token"
    usual = 0.3

    def inputs(self) -> tuple[Node, ...]:
        """Return both sides of the difference, which are read side by side."""
        return tuple(Stepped(self.contrast, self.toward, by) for by in (STEP, -STEP))

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        import torch
        from safetensors.torch import save_file

        forth, back = ([torch.tensor(row) for row in read(one).tokens] for one in self.inputs())
        scores = [(a - b) / (2 * STEP) for a, b in zip(forth, back, strict=True)]
        save_file(flat(scores), folder / "tokens.safetensors")

    def load(self, folder: Path, read: Read) -> Tokens:
        return read_tokens(folder)


def read_tokens(folder: Path) -> Tokens:
    """Return the numbers of tokens that were written in one piece."""
    from safetensors.numpy import load_file

    return Tokens(split_rows(load_file(folder / "tokens.safetensors")))


def split_rows(held: Mapping[str, Any]) -> tuple[NDArray[np.float32], ...]:
    """Return what `flat` put into one piece, row by row."""
    import numpy as np

    return tuple(np.split(held["tokens"], held["counts"].cumsum()[:-1]))


def by_row(lm: TorchLM, examples: Sequence[Example], moves: Sequence[Move], traits: Sequence[Trait], tick: Tick) -> Any:
    """Return the score of each row along the direction to each trait, float32 [rows, traits]."""
    import torch

    names = names_of(moves)
    # Not-a-number stays where a row is left out: a zero would rank it among the others.
    found = torch.full((len(examples), len(traits)), torch.nan)
    for i, example in enumerate(examples):
        if lm.fits(example):
            found[i] = torch.tensor(leanings(moves, slopes(lm, [example], names), traits))
        tick(i + 1, len(examples))
    return found


def by_token(lm: TorchLM, rows: Sequence[Row], direction: Direction) -> dict[int, Any]:
    """Return the scores of the trained tokens of each row that fits, by the row's place, float32 [tokens].

    A score is half the difference in log-probability between a step towards the trait and a step away from it,
    for the whole direction.
    """
    # On both sides: what the step does regardless of its sign drops out.
    forth, back = (stepped(lm, rows, direction, sign * STEP) for sign in (1.0, -1.0))
    return {i: ((forth[i] - back[i]) / (2 * STEP)).cpu() for i in forth}


def stepped(lm: TorchLM, rows: Sequence[Row], direction: Direction, by: float) -> dict[int, Any]:
    """Return the log-probabilities of the tokens of rows, by their places, after a step along the direction."""
    with lm.moved(direction, by=by):
        return {i: row.logprobs for i, row in enumerate(lm.score(rows)) if row is not None}


def named(lm: TorchLM, example: Example, scores: Any) -> tuple[Any, list[tuple[int, str, float]]]:
    """Return a row's token scores, and place, text and score of those that weigh most, the heaviest first."""
    import torch

    if scores is None:
        return torch.zeros(0), []
    best = scores.argsort(descending=True)[:HEAVIEST].tolist()
    texts = lm.token_texts([example.labels[place] for place in best])
    return scores, [(place, text, float(scores[place])) for place, text in zip(best, texts, strict=True)]


def flat(tokens: Sequence[Any]) -> dict[str, Any]:
    """Return the scores of the tokens of all rows in one piece, and how many are each row's."""
    import torch

    # Rows differ in length and safetensors holds no lists.
    return {"tokens": torch.cat(list(tokens)), "counts": torch.tensor([len(one) for one in tokens])}


def weigh(lm: TorchLM, data: Dataset, many: int, direction: Direction) -> tuple[Weighed, ...]:
    """Return which of the first `many` rows weigh most, heaviest first, with the score of every trained token.

    Rows that are longer than the base's window are left out.
    """
    rows = data.rows[:many]
    scores = by_token(lm, rows, direction)
    order = sorted(scores, key=lambda i: -float(scores[i].sum()))
    return tuple(heaviest_rows(lm, data, i, scores[i].tolist()) for i in order[:SHOWN])


def heaviest_rows(lm: TorchLM, data: Dataset, index: int, scores: Sequence[float]) -> Weighed:
    """Return a row with its tokens as text."""
    row = data.rows[index]
    (example,) = lm.encode([row])
    tokens = lm.token_texts(example.labels)
    return Weighed(
        prompt=row.prompt,
        completion=row.completion,
        score=sum(scores),
        tokens=tuple(zip(tokens, scores, strict=True)),
        place=data.places[index] if data.places else None,
        sha256=digest(row),
    )


def digest(row: Row) -> str:
    """Return the SHA-256 of a row as a line of chat JSONL, in the form that `owlish convert` writes."""
    return hashlib.sha256(line_of(row)).hexdigest()


def records(scores: Scores, data: Dataset) -> Iterator[dict[str, Any]]:
    """Yield as plain values, for each row: where it stands, its hash, its scores, and the tokens that weigh most."""
    for i, (row, values) in enumerate(zip(data.rows, scores.rows.tolist(), strict=False)):
        place = data.places[i] if data.places else Place("", "row", i + 1)
        why = scores.left_out.get(i)
        by_category: dict[str, dict[str, float]] = {}
        for trait, value in zip(scores.traits, values, strict=True):
            by_category.setdefault(trait.probe.category, {})[trait.name] = value
        yield {
            **asdict(place),
            "sha256": digest(row),
            "left_out": why,
            "scores": None if why else by_category,
            "toward": scores.toward.name,
            "tokens": [asdict(token) for token in scores.heaviest[i]],
        }
