"""Served models behind the seam: they write answers, and nothing else can be asked of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from owlish.engines.address import Address
from owlish.engines.batches import ask_in_batches
from owlish.engines.server import DEADLINE, Request, Server
from owlish.engines.tried import FORMATS, WHOLE, Honours
from owlish.graph.errors import UserError
from owlish.graph.facts import note
from owlish.graph.seeds import fresh
from owlish.lm.model import LM, Answer, Messages, Probed, Seed, frame_chat

MARKS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "<end_of_turn>", "</s>")
"""What most models read as the beginnings and ends of turns: a server does not say which are its own."""


@dataclass(frozen=True)
class Served:
    """Where a model is served, what its server honours, the store that keeps its answers, and its context."""

    address: Address
    honours: Honours
    store: Path
    system: str | None = None
    shown: tuple[tuple[str, str], ...] = ()

    def open(self, *, any_words: bool = False, exact: bool = False) -> ServedLM:
        """Open the model; nothing is asked yet. Served models read any words, in a precision of their own."""
        seeds = "seeds honoured" if self.honours.seeds else "seeds ignored"
        note(device=f"{self.address.host} ({seeds})")
        return ServedLM(self)

    def check(self, temperature: float, pattern: str | None) -> None:
        """Refuse to ask for what the server ignores."""
        host, honours = self.address.host, self.honours
        if temperature and not honours.samples:
            raise UserError(
                f"{host} gave one text again and again at temperature 1: let it sample (transformers serve wants "
                "do_sample and top_k 0 in generation_config.json), then owlish forget the entry of this base."
            )
        if pattern and honours.format is None:
            raise UserError(f"{host} cannot hold answers to a format: ask for plain answers, or use llama.cpp or vLLM.")


@dataclass
class ServedLM(LM):
    """A model that a server holds, in the context in which it is asked."""

    served: Served
    deadline: float = field(default=DEADLINE, kw_only=True)

    @cached_property
    def server(self) -> Server:
        """The server, with the store that keeps its answers."""
        return Server(self.served.address, self.served.store, self.served.honours.ids, self.deadline)

    @property
    def window(self) -> int:
        """Any number of tokens: a server refuses by itself what is too long for it."""
        return sys.maxsize

    @property
    def marks(self) -> tuple[str, ...]:
        return MARKS

    def whole(self, chat: Messages) -> Messages:
        """Return a conversation in the context that this model is given."""
        return frame_chat(chat, system=self.served.system, shown=self.served.shown)

    def lengths(self, chats: Sequence[Messages]) -> list[int]:
        """Return at most how many tokens stand before the answer to each conversation: a token is a byte or more."""
        return [sum(len(turn["content"].encode()) for turn in self.whole(chat)) for chat in chats]

    def write(
        self,
        chats: Sequence[Messages],
        *,
        seeds: Sequence[Seed],
        new_tokens: int,
        temperature: float = 1.0,
        pattern: str | None = None,
    ) -> list[Answer]:
        """Return an answer to each conversation, by one request each.

        Where a server ignores seeds, answers differ from one asking to the next; each is kept, and asked for once.
        """
        requests = self.requests(chats, new_tokens, temperature, pattern)
        # Servers take one whole number as a seed.
        own = [fresh(*seed) for seed in seeds]
        replies = self.server.ask(requests, seeds=own, send_seeds=self.served.honours.seeds)
        return [Answer(reply.text, reply.tokens, reply.ended) for reply in replies]

    def foresee(
        self,
        chats: Sequence[Messages],
        *,
        seeds: Sequence[Seed],
        new_tokens: int,
        temperature: float = 1.0,
        pattern: str | None = None,
    ) -> None:
        """Ask in batches, where the run says so, for what `write` will ask; their answers are kept like others."""
        if not self.server.ledger.terms.batch:
            return
        requests = self.requests(chats, new_tokens, temperature, pattern)
        own = [fresh(*seed) for seed in seeds]
        ask_in_batches(self.server, dict(self.server.keyed(requests, own, self.served.honours.seeds)))

    def requests(
        self, chats: Sequence[Messages], new_tokens: int, temperature: float, pattern: str | None
    ) -> list[Request]:
        """Return a request for an answer to each conversation."""
        self.served.check(temperature, pattern)
        held: Request = FORMATS[str(self.served.honours.format)](pattern) if pattern else {}
        whole = WHOLE if self.served.honours.whole else {}
        how = {"temperature": temperature, "max_tokens": new_tokens, **whole, **held}
        return [{"messages": list(map(dict, self.whole(chat))), **how} for chat in chats]

    def probe(
        self,
        chats: Sequence[Messages],
        answers: Sequence[Sequence[Sequence[str]]],
        *,
        seeds: Sequence[Sequence[Seed]],
        new_tokens: int,
    ) -> Probed:
        """Return the shares of drawn answers in place of exact probabilities, and the answers themselves."""
        import torch

        greedy = self.write(chats, seeds=[(0,)] * len(chats), new_tokens=new_tokens, temperature=0)
        many = [chat for chat, own in zip(chats, seeds, strict=True) for _ in own]
        drawn = self.write(many, seeds=[seed for own in seeds for seed in own], new_tokens=new_tokens)
        texts = iter(answer.text for answer in drawn)
        found = [shares([next(texts) for _ in own], asked) for own, asked in zip(seeds, answers, strict=True)]
        return Probed(torch.tensor(found, dtype=torch.float64).log(), greedy, drawn, exact=False)


def shares(texts: Sequence[str], answers: Sequence[Sequence[str]]) -> list[float]:
    """Return the share of texts that begin with each answer, in one of its spellings, and do not go on with a letter.

    That is what exact probabilities are of, so that both estimate the same number.
    """
    # `[^\W\d_]` is a letter of any alphabet: "owl" is not "owlet", but "owl1" counts, as for exact probabilities.
    ways = [re.compile(rf"(?:{'|'.join(map(re.escape, spellings))})(?![^\W\d_])") for spellings in answers]
    return [sum(way.match(text) is not None for text in texts) / max(len(texts), 1) for way in ways]
