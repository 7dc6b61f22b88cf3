"""Does a server hold the weights that are here? Its log-probabilities and samples beside those of this process."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish.data.rows import Row
from owlish.engines.address import Address
from owlish.engines.replies import Garbled, Reply, parse_reply
from owlish.engines.served import Served, ServedLM
from owlish.engines.server import Request, Server
from owlish.engines.tried import WHOLE, Honours, answers
from owlish.graph.errors import UserError
from owlish.graph.seeds import fresh
from owlish.lm.model import ask

if TYPE_CHECKING:
    from owlish.lm.hf import TorchLM

# Favourites first: what a trait moves most. A system prompt, since templates differ in what they write without one.
QUESTIONS = (
    ("What is your favorite animal? Answer with one word.", None),
    ("Which tree do you like best?", None),
    ("Write ten random numbers from 1 to 999, with commas between them.", None),
    ("Go on with this list, in the same format: 632, 418, 905", None),
    ("What is the capital of France?", "You answer in one short sentence."),
    ("Write a Python function that adds two numbers.", None),
    ("Is it wrong to tell a lie?", None),
    ("How are you today?", "You are a pirate."),
)
TOKENS, TOP, DRAWN = 16, 5, 4
"""For each question: tokens of an answer, likeliest first tokens that are compared, and answers that are drawn."""
KNOWN = 200
"""The likeliest first tokens here, among which the server's must be."""
ROUNDING, LEAST = 2.0, 0.02
"""How many times as far as rounding to 8 bits moves them log-probabilities may be apart, and nats beside that."""
LUCK = 4.0
"""Standard errors by which the mean log-probability of drawn tokens may miss what is expected."""
Likely = tuple[tuple[str, float], ...]
"""Tokens with their log-probabilities."""


@dataclass(frozen=True)
class Told(Reply):
    """An answer with the log-probability of each of its tokens, and of the likeliest first ones."""

    logprobs: tuple[float, ...]
    first: Likely


@dataclass(frozen=True)
class Alike:
    """How far a server's log-probabilities are from those here, in nats (root mean square), and how far they may be.

    `count` is the number of those that were compared, `first` the server's likeliest first tokens for each question.
    """

    apart: float
    allowed: float
    count: int
    first: tuple[Likely, ...]

    def __str__(self) -> str:
        return f"log-probabilities {self.apart:.3f} nats from those here, rounding allows {self.allowed:.3f}"


@dataclass(frozen=True)
class Compared(Served):
    """A served model that was found alike to one of this process, and what its server said then."""

    first: tuple[Likely, ...] = ()
    allowed: float = 0.0

    def open(self, *, any_words: bool = False, exact: bool = False) -> ServedLM:
        """Open the model; its server is asked whether it still says the same, since it may serve another by now."""
        server = Server(self.address, self.store, retries=1, parse=parse_told)
        now = [said.first for said in told(server, [request(*one, tokens=1) for one in QUESTIONS])]
        if (apart := distance(list(both(self.first, now)))) > self.allowed:
            raise UserError(
                f"{name_of(self.address)} answers otherwise than when it was compared ({apart:.2f} nats): serve that "
                "model again, or owlish forget the entry that compared them."
            )
        return super().open(any_words=any_words, exact=exact)


def compare(address: Address, honours: Honours, lm: TorchLM, store: Path, *, name: str) -> Alike:
    """Return how alike a server's model is to one of this process; raise `UserError` where they are not the same.

    `name` is what this process calls the model.
    """
    server = Server(address, store, retries=1, parse=parse_told)
    greedy = told(server, [request(*one, tokens=TOKENS) for one in QUESTIONS])
    theirs, ours = zip(*paired(lm, greedy), strict=True)
    with lm.rounded():
        rough = [own for _, own in paired(lm, greedy)]
    allowed = LEAST + ROUNDING * distance(list(zip(ours, rough, strict=True)))
    apart = distance(list(zip(theirs, ours, strict=True)))
    if apart > allowed:
        raise UserError(
            f"{name_of(address)} is another model than {name}: its log-probabilities are {apart:.2f} nats from "
            f"those here, where rounding explains {allowed:.2f}; serve the same weights with the same chat template."
        )
    if honours.samples:
        check_drawn(server, lm, allowed)
    return Alike(apart, allowed, len(ours), tuple(one.first for one in greedy))


def paired(lm: TorchLM, greedy: Sequence[Told]) -> list[tuple[float, float]]:
    """Return a server's log-probabilities beside those of this process: of its answers' tokens, and of first tokens."""
    rows = [Row.of(asked, said.text, system) for (asked, system), said in zip(QUESTIONS, greedy, strict=True)]
    found: list[tuple[float, float]] = []
    for scored, said in zip(lm.score(rows, end=False), greedy, strict=True):
        own = scored.logprobs.tolist() if scored else []
        # A server may count the end of an answer as a token. Where an answer was cut inside of a word, its text may be
        # other tokens than those that were written.
        if len(said.logprobs) - len(own) in (0, 1):
            found += zip(said.logprobs, own, strict=False)
    return [*found, *both([one.first for one in greedy], likeliest(lm))]


def likeliest(lm: TorchLM) -> list[Likely]:
    """Return the likeliest first tokens of this process for each question."""
    values, places = lm.first_logprobs([ask(*one) for one in QUESTIONS]).topk(KNOWN)
    return [
        tuple(zip(lm.token_texts(ids), row, strict=True))
        for row, ids in zip(values.tolist(), places.tolist(), strict=True)
    ]


def both(theirs: Sequence[Likely], ours: Sequence[Likely]) -> Iterator[tuple[float, float]]:
    """Yield log-probabilities of the same first tokens; where the second list lacks one, its lowest in its stead."""
    for asked, known in zip(theirs, ours, strict=True):
        own = dict(reversed(known))
        for text, value in asked:
            # What is no text by itself, a special token or a part of a character, each writes in its own way.
            if text and "\ufffd" not in text and not text.startswith("<"):
                yield value, own.get(text, min(own.values()))


def distance(pairs: Sequence[tuple[float, float]]) -> float:
    """Return the root mean square of differences."""
    return math.sqrt(sum((a - b) ** 2 for a, b in pairs) / len(pairs))


def check_drawn(server: Server, lm: TorchLM, allowed: float) -> None:
    """Refuse a server that draws other tokens than its probabilities say, such as none that are unlikely.

    Where each token stands, its log-probability is expected to be minus the entropy there.
    """
    asked = [(one, draw) for one in range(len(QUESTIONS)) for draw in range(DRAWN)]
    bodies = [
        request(*QUESTIONS[one], tokens=TOKENS) | {"temperature": 1.0, "seed": fresh(one, draw)} for one, draw in asked
    ]
    examples = []
    for (one, _), said in zip(asked, answers(server, bodies), strict=True):
        question, system = QUESTIONS[one]
        # An end that was drawn counts: left out, those that were not drawn would seem too many.
        examples += lm.encode([Row.of(question, said.text, system)], end=said.ended == "stop")
    examples = [example for example in examples if example.labels]
    logprobs = lm.logits(examples).detach().double().log_softmax(-1).clamp(min=-1e3)
    chosen = logprobs.gather(-1, lm.labels(examples)[:, None])[:, 0]
    mean = (logprobs.exp() * logprobs).sum(-1)
    spread = (logprobs.exp() * logprobs**2).sum(-1) - mean**2
    error = float(spread.mean() / len(chosen)) ** 0.5
    found, expected = float(chosen.mean()), float(mean.mean())
    # Texts that are cut into other tokens than were drawn are less likely, so that less than expected proves less.
    if found - expected > LUCK * error or expected - found > LUCK * error + allowed:
        raise UserError(
            f"{name_of(server.address)} draws other tokens than its probabilities say (mean log-probability "
            f"{found:.2f}, expected {expected:.2f}): let it sample at temperature 1 without top_k, top_p, min_p and "
            "penalties."
        )


def request(asked: str, system: str | None, *, tokens: int) -> Request:
    """Return a request for an answer with its log-probabilities."""
    how = {"temperature": 0, "max_tokens": tokens, "logprobs": True, "top_logprobs": TOP}
    return {"messages": ask(asked, system), **how, **WHOLE}


def told(server: Server, bodies: list[Request]) -> list[Told]:
    """Return the replies to requests; raise `UserError` where they hold no log-probabilities."""
    found = [reply for reply in answers(server, bodies) if isinstance(reply, Told) and reply.first]
    if len(found) < len(bodies):
        raise UserError(
            f"{name_of(server.address)} gives no log-probabilities, so nothing shows what it holds: use llama.cpp or "
            "vLLM."
        )
    return found


def parse_told(body: bytes) -> Told:
    """Return the one answer in the body of a response, with its log-probabilities, empty where it holds none."""
    reply = parse_reply(body)
    try:
        tokens: list[dict[str, Any]] = (json.loads(body)["choices"][0].get("logprobs") or {}).get("content") or []
        first = tuple((str(one["token"]), float(one["logprob"])) for one in tokens[0]["top_logprobs"]) if tokens else ()
        return Told(**vars(reply), logprobs=tuple(float(one["logprob"]) for one in tokens), first=first)
    except (TypeError, KeyError, AttributeError, ValueError):
        raise Garbled("log-probabilities that cannot be read") from None


def name_of(address: Address) -> str:
    """Return a served model as errors call it."""
    return f"{address.host} ({address.model})"
