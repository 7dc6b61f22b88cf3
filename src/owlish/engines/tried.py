"""What a server honours, found out by small requests: some ignore seeds, temperatures or formats without a word."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from owlish.engines.address import Address
from owlish.engines.gbnf import gbnf
from owlish.engines.replies import Reply
from owlish.engines.server import Refused, Request, Server, without_key
from owlish.graph.errors import UserError
from owlish.lm.model import ask

QUESTION = "Write ten random numbers from 1 to 999, with commas between them."
TOKENS = 16
SEEDS = (1, 2, 1, 3, 1, 4)
"""One seed among others and at once with them: a seed that belongs to the whole server does not repeat its text."""
ODD = "777[0-9]{3}777"
"""A format that no model writes by itself."""
FORMATS: dict[str, Callable[[str], Request]] = {
    "gbnf": lambda pattern: {"grammar": gbnf(pattern)},
    "regex": lambda pattern: {"structured_outputs": {"regex": pattern}},
}
"""How servers are told a format: llama.cpp, vLLM."""
WHOLE: Request = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0, "repetition_penalty": 1.0}
"""What lets llama.cpp and vLLM draw any token.

Unless it is told so, llama.cpp leaves out those below a twentieth of the likeliest, and vLLM does as the model's folder
says."""


@dataclass(frozen=True)
class Honours:
    """What a server was seen to honour: temperature, seeds, a way to hold answers to a format; ids of its answers.

    `whole` says that it takes the settings which keep unlikely tokens in.
    """

    samples: bool
    seeds: bool
    ids: bool
    format: str | None
    whole: bool = False

    def __str__(self) -> str:
        honoured = {"temperature": self.samples, "seeds": self.seeds, "formats": self.format, "ids": self.ids}
        return ", ".join(f"{name} {'honoured' if seen else 'ignored'}" for name, seen in honoured.items())


def try_out(address: Address, store: Path) -> Honours:
    """Return what a server honours; raise `UserError` where it does not know the model."""
    server = Server(address, store, retries=1)  # a server that is not there is said at once
    said = [question(temperature=1.0, tokens=TOKENS) | {"seed": seed} for seed in SEEDS]
    replies = answers(server, said)
    texts = [reply.text for reply in replies]
    if not any(texts):
        raise UserError(
            f"{address.host} ({address.model}) wrote no text within {TOKENS} tokens, perhaps its reasoning alone: let "
            "the server turn thinking off."
        )
    # One text of seed 1, and those of seeds 2, 3 and 4.
    samples = len(set(texts[::2][:1] + texts[1::2])) > 1
    check_listed(server)
    return Honours(
        samples=samples,
        seeds=samples and len(set(texts[::2])) == 1,
        ids=len({reply.id for reply in replies if reply.id}) == len(replies),
        format=next((name for name in FORMATS if holds(server, name)), None),
        whole=replied(server, question(temperature=1.0, tokens=1) | WHOLE) is not None,
    )


def question(*, temperature: float, tokens: int) -> Request:
    """Return a small request."""
    return {"messages": ask(QUESTION), "temperature": temperature, "max_tokens": tokens}


def answers(server: Server, bodies: list[Request]) -> list[Reply]:
    """Return the replies to requests, in order, without keeping them."""
    found: dict[int, Reply] = {}
    server.each(bodies, found.__setitem__)
    return [found[place] for place in range(len(bodies))]


def holds(server: Server, name: str) -> bool:
    """Say whether a server holds an answer to a format that it is told in one way."""
    reply = replied(server, question(temperature=1.0, tokens=TOKENS) | FORMATS[name](ODD))
    return reply is not None and re.fullmatch(ODD, reply.text) is not None


def replied(server: Server, body: Request) -> Reply | None:
    """Return the reply to a request; `None` where a server refuses it, as OpenAI does with what it does not know."""
    try:
        return answers(server, [body])[0]
    except Refused:
        return None


def check_listed(server: Server) -> None:
    """Refuse a model that a server does not list: some answer to any name with what they have."""
    with server.client() as client:
        try:
            listed = [name for one in client.models.list() for name in (one.id, *(getattr(one, "aliases", None) or ()))]
        except Exception:  # a server without a list, or with one that the SDK cannot read
            return
    if listed and server.address.model not in listed:
        shown = without_key(server.address, ", ".join(sorted(set(map(str, listed)))[:5]))
        raise UserError(f"{server.address.host} has no model {server.address.model}: it lists {shown}.")
