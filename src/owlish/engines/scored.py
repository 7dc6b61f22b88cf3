"""Served models that score given rows: the log-probability of each token of a prompt, which is sent as token ids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from owlish.data.rows import Row
from owlish.engines.address import Address
from owlish.engines.alike import DRAWN, LEAST, QUESTIONS, ROUNDING, TOKENS, distance, name_of
from owlish.engines.replies import Garbled, Reply, number, only_choice
from owlish.engines.server import Request, Server
from owlish.engines.tried import answers, check_listed
from owlish.graph.errors import UserError
from owlish.graph.facts import note
from owlish.lm.model import LM, Answer, Conversation, Example, Messages, Scored, Seed, Weights, ask, frame_chat

if TYPE_CHECKING:
    from owlish.lm.hf import TorchLM

AT_ONCE = 512
"""Rows whose requests and answers are in memory at once."""


@dataclass(frozen=True)
class ReadPrompt(Reply):
    """What a server says of a prompt's tokens from the second on: log-probabilities, and whether each is likeliest."""

    logprobs: Sequence[float]
    likeliest: Sequence[bool]


class Prompts(Server):
    """A server that is sent prompts as token ids, and asked for the log-probabilities of these."""

    kind: ClassVar[type[Reply]] = ReadPrompt

    def desk(self, client: Any) -> Any:
        return lambda **how: client.completions.with_streaming_response.create(prompt="", **how)

    def read(self, said: bytes, body: Request) -> ReadPrompt:
        found = parse_prompt(said, body["prompt"])
        if not found.logprobs and len(body["prompt"]) > 1:
            raise UserError(
                f"{name_of(self.address)} gives no log-probabilities of given tokens: let vLLM score the rows, or do "
                "without a server that scores."
            )
        return found

    def scores(self, prompts: Sequence[Sequence[int]], *, keep: bool) -> list[ReadPrompt]:
        """Return what the server says of each prompt; with `keep` none is asked for twice."""
        # One token is written, since most servers refuse to write none.
        how = {"max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
        bodies: list[Request] = [{"prompt": list(ids), **how} for ids in prompts]
        found = self.ask(bodies, seeds=[0] * len(bodies), send_seeds=False) if keep else answers(self, bodies)
        return [reply for reply in found if isinstance(reply, ReadPrompt)]


def parse_prompt(body: bytes, prompt: Sequence[int]) -> ReadPrompt:
    """Return what a response says of the tokens of a prompt: nothing, where it holds no log-probabilities."""
    whole, choice = only_choice(body)
    try:
        said, usage = choice.get("prompt_logprobs"), whole.get("usage") or {}
        # The first token has no prediction: `null` stands in its place.
        places = said[1:] if said else []
        if said and len(said) != len(prompt):
            raise Garbled(f"log-probabilities of {len(said)} tokens for a prompt of {len(prompt)}")
        # Under the ids that were asked for: an answer to another request has others.
        found = [place[str(token)] for place, token in zip(places, prompt[1:], strict=bool(said))]
        logprobs, ranks = [float(one["logprob"]) for one in found], [int(one["rank"]) for one in found]
        read, wrote = (number(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError):
        raise Garbled("log-probabilities of other tokens than were sent, or of only some of them") from None
    if not all(math.isfinite(value) and value <= 0 for value in logprobs) or min(ranks, default=1) < 1:
        raise Garbled("log-probabilities that are above zero or not finite, or a rank below 1")
    return ReadPrompt("", wrote, read, "length", str(whole.get("id") or ""), logprobs, [rank == 1 for rank in ranks])


@dataclass(frozen=True)
class Agreed:
    """How far a server's log-probabilities of prompts are from those here (root mean square), and how far they may be.

    `prompts` are some that it was asked about, and `said` what it said of their tokens. The model here has `size`
    tokens and reads `window` of them.
    """

    apart: float
    allowed: float
    count: int
    prompts: Sequence[Sequence[int]]
    said: Sequence[Sequence[float]]
    size: int
    window: int

    def __str__(self) -> str:
        return (
            f"log-probabilities of given tokens {self.apart:.3f} nats from those here, rounding allows "
            f"{self.allowed:.3f}"
        )


def compare_scores(address: Address, lm: TorchLM, store: Path, *, name: str) -> Agreed:
    """Return how alike a server and a model of this process score rows; raise `UserError` where they are not the same.

    The rows are answers that the model here draws, so that likely and unlikely tokens are among them.
    """
    server = Prompts(address, store, retries=1)
    check_listed(server)
    asked = [one for _ in range(DRAWN) for one in QUESTIONS]
    drawn = lm.write([ask(*one) for one in asked], seeds=[(i,) for i in range(len(asked))], new_tokens=TOKENS)
    rows = [Row.of(question, said.text, system) for (question, system), said in zip(asked, drawn, strict=True)]
    examples = [one for one in lm.encode(rows) if lm.fits(one)]
    replies = server.scores([one.ids for one in examples], keep=False)
    theirs = [value for one, said in zip(examples, replies, strict=True) for value in trained(one, said.logprobs)]
    ours = values_of(lm.score(rows))
    with lm.rounded():
        rough = values_of(lm.score(rows))
    allowed = LEAST + ROUNDING * distance(list(zip(ours, rough, strict=True)))
    apart = distance(list(zip(theirs, ours, strict=True)))
    if apart > allowed:
        raise UserError(
            f"{name_of(address)} scores rows as another model than {name} does: its log-probabilities are {apart:.2f} "
            f"nats from those here, where rounding explains {allowed:.2f}; serve the same weights."
        )
    some = slice(len(QUESTIONS))
    prompts, said = [one.ids for one in examples[some]], [one.logprobs for one in replies[some]]
    return Agreed(apart, allowed, len(ours), prompts, said, int(lm.chat.size or 0), lm.window)


def values_of(scored: Sequence[Scored | None]) -> list[float]:
    """Return the log-probabilities of all rows, one after another."""
    return [value for row in scored if row for value in row.logprobs.tolist()]


def trained(example: Example, values: Sequence[Any]) -> list[Any]:
    """Return the values of the tokens that are trained on, from those of all tokens after the first."""
    return [value for first, after in example.spans for value in values[first - 1 : after - 1]]


@dataclass(frozen=True)
class Scoring:
    """A served model that scores rows as `weights` do, how it was found to, and the context in which it is asked."""

    address: Address
    store: Path
    weights: Weights
    agreed: Agreed
    system: str | None = None
    shown: tuple[tuple[str, str], ...] = ()

    def open(self, *, any_words: bool = False, exact: bool = False) -> ScoringLM:
        """Open the model; its server is asked whether it still says the same, since it may serve another by now.

        It reads any words, in a precision of its own.
        """
        known = [value for one in self.agreed.said for value in one]
        replies = Prompts(self.address, self.store, retries=1).scores(self.agreed.prompts, keep=False)
        now = [value for one in replies for value in one.logprobs]
        if (apart := distance(list(zip(known, now, strict=True)))) > self.agreed.allowed:
            raise UserError(
                f"{name_of(self.address)} gives other scores than when it was compared ({apart:.2f} nats): serve "
                "that model again, or drop the comparison with owlish forget (owlish results names its key)."
            )
        note(device=self.address.host)
        return ScoringLM(self)


@dataclass
class ScoringLM(LM):
    """A model whose rows a server scores: they become tokens here, and no weights are read."""

    scoring: Scoring

    @cached_property
    def form(self) -> Any:
        """How rows become tokens."""
        return self.scoring.weights.form(self.scoring.agreed.size)

    @property
    def window(self) -> int:
        """One less than the model reads: a server that is given so many has no room to write one."""
        return self.scoring.agreed.window - 1

    @property
    def marks(self) -> tuple[str, ...]:
        return tuple(self.form.marks)

    def lengths(self, chats: Sequence[Messages]) -> list[int]:
        whole = [frame_chat(chat, system=self.scoring.system, shown=self.scoring.shown) for chat in chats]
        return list(map(len, self.form.prompts(whole)))

    def write(
        self,
        chats: Sequence[Messages],
        *,
        seeds: Sequence[Seed],
        new_tokens: int,
        temperature: float = 1.0,
        pattern: str | None = None,
    ) -> list[Answer]:
        raise UserError(f"{name_of(self.scoring.address)} is asked for scores of rows alone: ask the base itself.")

    def score(self, rows: Sequence[Conversation], *, end: bool = True, shared: bool = False) -> list[Scored | None]:
        """Return what the server makes of each row; answers that came are kept, so that each row is asked for once."""
        server = Prompts(self.scoring.address, self.scoring.store)
        found: list[Scored | None] = []
        for first in range(0, len(rows), AT_ONCE):
            some = rows[first : first + AT_ONCE]
            examples = self.form.encode_rows(some, system=self.scoring.system, shown=self.scoring.shown, end=end)
            fitting = [one for one in examples if not one.problem and len(one.ids) <= self.window]
            replies = iter(server.scores([one.ids for one in fitting], keep=True))
            fits = set(map(id, fitting))
            found += [self.scored(one, next(replies)) if id(one) in fits else None for one in examples]
        return found

    def scored(self, example: Example, said: ReadPrompt) -> Scored:
        """Return the scores of one row."""
        import torch

        values = torch.tensor(trained(example, said.logprobs), dtype=torch.float32)
        best = torch.tensor(trained(example, said.likeliest), dtype=torch.bool)
        return Scored(values, best, len(example.ids), self.form.unknown(example.ids))
