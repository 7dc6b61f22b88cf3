"""Requests to one model that come at the same time: whoever has the model answers for all who wait."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock

from owlish.graph.errors import UserError
from owlish.lm.model import LM, Answer, Messages, Seed


@dataclass(eq=False)
class Request:
    """A conversation, a seed for each answer that is wanted, the most tokens of one, and how they are drawn.

    `read` is the number of tokens before the answer, and `room` what the window leaves of `limit`.
    """

    messages: Messages
    seeds: tuple[Seed, ...]
    limit: int
    temperature: float
    read: int = 0
    room: int = 0
    done: Future[list[Answer]] = field(default_factory=Future)


class Desk:
    """One model, asked by many threads; tokenizers and models take one call at a time."""

    def __init__(self, lm: LM) -> None:
        self.lm, self.lock = lm, Lock()
        self.waiting: list[Request] = []

    def ask(self, request: Request) -> list[Answer]:
        """Return the answers to a request, which may be written in one batch with those to others."""
        # Before the lock is free: whoever has the model takes in all who wait by then.
        self.waiting.append(request)
        with self.lock:
            # Its answer may have been written meanwhile, in the batch of another.
            if not request.done.done():
                self.serve(request)
        return request.done.result()

    def serve(self, request: Request) -> None:
        """Answer a request, and all that wait and are drawn in the same way."""
        # A copy, since other threads add to the list.
        for one in (one for one in list(self.waiting) if not one.room):
            self.measure(one)
        batch = [one for one in self.waiting if (one.room, one.temperature) == (request.room, request.temperature)]
        if request.done.done():  # its own mistake, which is nobody else's
            return
        error = self.write(batch)
        if error and batch != [request]:
            # Another of them may have caused it. The others try for themselves, when they have the model.
            error = self.write([request])
        if error:
            self.fail(request, error)

    def write(self, batch: Sequence[Request]) -> Exception | None:
        """Answer requests that are drawn in the same way, or return the error with which all of them failed."""
        try:
            answers = iter(
                self.lm.write(
                    [one.messages for one in batch for _ in one.seeds],
                    seeds=[seed for one in batch for seed in one.seeds],
                    new_tokens=batch[0].room,
                    temperature=batch[0].temperature,
                )
            )
        except Exception as error:
            return error
        for one in batch:
            self.waiting.remove(one)
            one.done.set_result([next(answers) for _ in one.seeds])
        return None

    def fail(self, request: Request, error: Exception) -> None:
        """Answer a request with an error, which whoever asked is told, and nobody else."""
        self.waiting.remove(request)
        request.done.set_exception(error)

    def measure(self, request: Request) -> None:
        """Find how much a request leaves of the window; one that the model cannot read is answered with the reason."""
        try:
            (request.read,) = self.lm.lengths([request.messages])
            request.room = min(request.limit, self.lm.window - request.read)
            if request.room < 1:
                raise UserError(f"a conversation takes {request.read} tokens and the model reads {self.lm.window}.")
        except Exception as error:  # a fault of ours, too: raised here, it would reach whoever has the model
            self.fail(request, error)
