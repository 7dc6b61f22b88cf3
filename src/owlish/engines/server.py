"""Requests to an OpenAI-compatible server: some at once, asked again where that helps, each answer kept at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from owlish.engines.address import KEY, OPENAI, Address
from owlish.engines.replies import Garbled, Reply, digest_of, forget, parse_reply, read_reply, write_reply
from owlish.graph.errors import UserError

AT_ONCE = 8
"""Requests under way at once, for each node that is made."""
RETRIES = 6
"""How often the SDK asks again after 408, 409, 429 and 5xx: with back-off, or as Retry-After says, up to 2 minutes."""
TRIES = 4
"""How often a request is made whose answer comes back garbled, which the SDK does not see."""
PAUSE = 0.5
DEADLINE = 300.0
"""Seconds that a server has until its answer begins, and again until it has ended."""
LATER = "run the same command later; the answers that came are kept"
Request = dict[str, Any]


class Refused(UserError):
    """A server refuses a request as it is."""


@dataclass
class Server:
    """A served model: where it is, the folder that keeps its answers, whether it names each answer anew."""

    address: Address
    folder: Path
    ids: bool = False
    deadline: float = DEADLINE
    retries: int = RETRIES
    named: dict[str, str] = field(default_factory=dict)

    def ask(self, requests: Sequence[Request], *, seeds: Sequence[int], send_seeds: bool) -> list[Reply]:
        """Return the reply to each request, in order; those that were kept are not asked for again.

        A seed is part of what an answer is kept under, and sent only to a server that honours it.
        """
        who = {"url": self.address.url, "model": self.address.model}
        digests = [digest_of({**who, **asked, "seed": s}) for asked, s in zip(requests, seeds, strict=True)]
        sent = [{**asked, "seed": s} if send_seeds else asked for asked, s in zip(requests, seeds, strict=True)]
        for _ in range(TRIES):
            found = self.complete(dict(zip(digests, sent, strict=True)))
            mixed = self.mixed(found)
            if not mixed:
                self.named |= {reply.id: digest for digest, reply in found.items()}
                return [found[digest] for digest in digests]
            for digest in mixed:
                forget(self.folder, digest)
        raise UserError(f"{self.address.host} gave one answer to different requests, {TRIES} times: {LATER}.")

    def complete(self, asked: dict[str, Request]) -> dict[str, Reply]:
        """Ask for what is not kept, by the digests of requests, and return all replies."""
        found = {digest: read_reply(self.folder, digest) for digest in asked}
        missing = [digest for digest, reply in found.items() if reply is None]

        def take(place: int, reply: Reply) -> None:
            write_reply(self.folder, missing[place], reply)
            found[missing[place]] = reply

        self.each([asked[digest] for digest in missing], take)
        return {digest: reply for digest, reply in found.items() if reply}

    def mixed(self, found: dict[str, Reply]) -> set[str]:
        """Return the requests whose answers were given to others too: nothing says to whom such an answer belongs."""
        times = Counter(reply.id for reply in found.values())
        shared = {d for d, reply in found.items() if times[reply.id] > 1 or self.named.get(reply.id, d) != d}
        return shared if self.ids else set()

    def each(self, bodies: Sequence[Request], then: Callable[[int, Reply], None]) -> None:
        """Make requests, some at once, and call `then` with the place of each and its reply as soon as it is there.

        At the first that fails for good those that have not begun are dropped.
        """
        if not bodies:
            return
        with self.client() as client, ThreadPoolExecutor(AT_ONCE) as pool:

            def one(place: int) -> None:
                then(place, self.answer(client, bodies[place]))

            begun = [pool.submit(one, place) for place in range(len(bodies))]
            try:
                for done in as_completed(begun):
                    done.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def client(self) -> Any:
        """Return the SDK's client for this server."""
        import openai

        key = self.address.key or "none"  # the SDK insists on one
        timeout = openai.Timeout(self.deadline, connect=10.0)
        return openai.OpenAI(api_key=key, base_url=self.address.url, max_retries=self.retries, timeout=timeout)

    def answer(self, client: Any, body: Request) -> Reply:
        """Return the reply to one request, made again as long as what comes back is garbled."""
        problem = ""
        for turn in range(TRIES):
            time.sleep(PAUSE * turn)
            try:
                reply = parse_reply(self.received(client, body))
                self.check(reply, body)
            except Garbled as error:
                problem = str(error)
            else:
                return reply
        raise UserError(f"{self.address.host} sent {problem}, {TRIES} times: {LATER}.")

    def received(self, client: Any, body: Request) -> bytes:
        """Return the whole body of a response: read in pieces, since no time limit of the SDK's ends a slow drip."""
        import openai

        limit = "max_completion_tokens" if self.address.url == OPENAI else "max_tokens"
        whole = {"model": self.address.model, **{limit if k == "max_tokens" else k: v for k, v in body.items()}}
        late = time.monotonic() + 2 * self.deadline
        pieces = []
        try:
            asked = client.chat.completions.with_streaming_response.create(messages=[], model="", extra_body=whole)
            with asked as response:
                for piece in torn(response.iter_bytes()):
                    pieces.append(piece)
                    if time.monotonic() > late:
                        raise Garbled("an answer too slowly")
        except openai.OpenAIError as error:
            raise explain_error(self.address, error) from None  # its request holds the key
        found = b"".join(pieces)
        if self.address.key and self.address.key.encode() in found:
            raise UserError(f"{self.address.host} sends your key back: use another server, and another key.")
        return found

    def check(self, reply: Reply, body: Request) -> None:
        """Refuse an answer that is longer than was asked."""
        if reply.tokens > body["max_tokens"]:
            raise UserError(
                f"{self.address.host} wrote {reply.tokens} tokens where at most {body['max_tokens']} were asked for: "
                "use a server that honours max_tokens."
            )


def torn(pieces: Any) -> Any:
    """Yield the pieces of a body; whatever ends it before its end is `Garbled`."""
    try:
        yield from pieces
    except Exception as error:  # raised by the SDK's own HTTP library, whose name has changed before
        raise Garbled("an answer that breaks off") from error


def explain_error(address: Address, error: Any) -> UserError:
    """Return what to tell the user about an error of the SDK, without the key, which some servers repeat."""
    import openai

    where = f"{address.host} ({address.model})"
    if not isinstance(error, openai.APIStatusError):
        return UserError(f"{address.url} does not answer: start the server or correct the address; {LATER}.")
    body = error.body if isinstance(error.body, dict) else {"message": error.body}
    words = " ".join(str(body.get("message") or body.get("detail") or error.message).split())
    if address.key:
        words = words.replace(address.key, "(the key)")
    said = f"{error.status_code}, {words[:200]}"
    if error.status_code in (401, 403):
        return UserError(f"{where} refuses the key ({said}): set {KEY} to one that may use this model.")
    if error.status_code == 404:
        return UserError(f"{where} is not there ({said}): give the address up to /v1, and a model that it lists.")
    if error.status_code in (408, 409, 429) or error.status_code >= 500:
        return UserError(f"{where} fails again and again ({said}): {LATER}.")
    return Refused(f"{where} refuses the request ({said}): change what it names, or use another server.")
