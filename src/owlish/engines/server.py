"""Requests to an OpenAI-compatible server: some at once, asked again where that helps, each answer kept at once."""

from __future__ import annotations

import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

from owlish.engines.address import KEY, OPENAI, Address
from owlish.engines.replies import (
    Garbled,
    Reply,
    digest_of,
    drop_all,
    forget,
    parse_reply,
    read_reply,
    times_dropped,
    write_reply,
)
from owlish.graph.errors import UserError
from owlish.graph.spending import Ledger, Use
from owlish.graph.store import ANSWERS, locked

AT_ONCE = 8
"""Requests under way at once, for each node that is made."""
RETRIES = 6
"""How often a server is asked again after 408, 409, 429 and 5xx, or where it is away."""
PATIENCE = 120.0
"""The most seconds of a Retry-After that are waited; a server that says more is busy for good."""
TRIES = 4
"""How often a request is made whose answer comes back garbled."""
PAUSE = 0.5
DEADLINE = 300.0
"""Seconds that a server has until its answer begins, and again until it has ended."""
UNHEARD = 2
"""How often a request is made that has no answer within the deadline."""
LATER = "run the same command later; the answers that came are kept"
Request = dict[str, Any]


class Refused(UserError):
    """A server refuses a request as it is."""


@dataclass
class Server:
    """A served model: where it is, the store that keeps its answers, whether it names each answer anew.

    `parse` makes an answer of the body of a response, and `kind` is what answers are kept as.
    """

    kind: ClassVar[type[Reply]] = Reply

    address: Address
    store: Path
    ids: bool = False
    deadline: float = DEADLINE
    retries: int = RETRIES
    parse: Callable[[bytes], Reply] = parse_reply
    named: dict[str, str] = field(default_factory=dict)

    @cached_property
    def ledger(self) -> Ledger:
        """What was spent in the store, and its limit."""
        return Ledger(self.store)

    @property
    def folder(self) -> Path:
        """Where answers are kept."""
        return self.store / ANSWERS

    @cached_property
    def dropped(self) -> int:
        """How often the user had the model's answers dropped; looked at once, so that rows are of one model."""
        return times_dropped(self.folder, str(self.address))

    def drop_answers(self) -> None:
        """Use none of the answers of this model that are kept any more: its server holds another one by now."""
        with locked(self.store / ".locks" / "answers"):
            drop_all(self.folder, str(self.address))

    def ask(self, requests: Sequence[Request], *, seeds: Sequence[int], send_seeds: bool) -> list[Reply]:
        """Return the reply to each request, in order; those that were kept are not asked for again.

        A seed is part of what an answer is kept under, and sent only to a server that honours it.
        """
        asked = self.keyed(requests, seeds, send_seeds)
        digests = [digest for digest, _ in asked]
        for _ in range(TRIES):
            found = self.complete(dict(asked))
            mixed = self.mixed(found)
            if not mixed:
                self.named |= {reply.id: digest for digest, reply in found.items()}
                return [found[digest] for digest in digests]
            for digest in mixed:
                forget(self.folder, digest)
        raise UserError(f"{self.address.host} gave one answer to different requests, {TRIES} times: {LATER}.")

    def keyed(self, requests: Sequence[Request], seeds: Sequence[int], send_seeds: bool) -> list[tuple[str, Request]]:
        """Return requests as they are sent, each with its digest."""
        who: Request = {"url": self.address.url, "model": self.address.model}
        who |= {"dropped": self.dropped} if self.dropped else {}
        digests = [digest_of({**who, **asked, "seed": s}) for asked, s in zip(requests, seeds, strict=True)]
        sent = [{**asked, "seed": s} if send_seeds else asked for asked, s in zip(requests, seeds, strict=True)]
        return list(zip(digests, sent, strict=True))

    def complete(self, asked: dict[str, Request]) -> dict[str, Reply]:
        """Ask for what is not kept, by the digests of requests, and return all replies."""
        found = {digest: read_reply(self.folder, digest, self.kind) for digest in asked}
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
        """Return the SDK's client for this server, which asks nothing twice: whatever it sends may be paid for."""
        import openai

        key = self.address.key or "none"  # the SDK insists on one
        timeout = openai.Timeout(self.deadline, connect=10.0)
        # The environment's proxy may be another machine, and would read the key of a server here in plain text.
        direct = {"http://": None, "https://": None} if self.address.here else None
        # By itself the SDK makes two more requests after an error, of a fine-tuning job too: each may be paid for.
        return openai.OpenAI(
            api_key=key,
            base_url=self.address.url,
            max_retries=0,
            timeout=timeout,
            http_client=openai.DefaultHttpxClient(mounts=direct),
        )

    def answer(self, client: Any, body: Request) -> Reply:
        """Return the reply to one request, made again as long as what comes back is garbled."""
        problem = ""
        for turn in range(TRIES):
            time.sleep(PAUSE * turn)
            try:
                reply = self.received(client, body, self.most(body))
                self.check(reply, body)
            except Garbled as error:
                problem = str(error)
            else:
                return reply
        raise UserError(f"{self.address.host} sent {problem}, {TRIES} times: {LATER}.")

    def most(self, body: Request) -> Use:
        """Return the most that a request can use: a token is a byte or more, and JSON more than what a chat adds."""
        limit = body.get("max_tokens") or body["max_completion_tokens"]
        return Use(self.address.priced, read=len(json.dumps(body).encode()), written=limit)

    def received(self, client: Any, body: Request, most: Use) -> Reply:
        """Return the reply to one request, made again while the server is busy or away, and enter what it used.

        What a server answers with an error costs nothing; what breaks off may be billed, and counts at its most.
        """
        import openai

        unheard = 0
        for turn in range(self.retries + 1):
            # Before it is sent: whoever is killed after this line may have spent it.
            entry = self.ledger.reserve(most)
            begun = time.monotonic()
            try:
                reply = self.read(self.sent(client, body), body)
                self.ledger.settle(entry, used(reply, most))
                return reply
            except openai.APIStatusError as error:
                self.ledger.settle(entry, Use(most.model))
                failed: openai.OpenAIError = error
            except openai.OpenAIError as error:
                failed = error
            finally:
                self.ledger.leave(entry)
            unheard += time.monotonic() - begun >= self.deadline
            wait = pause(failed, turn)
            # A server that takes requests and answers none would else be waited for half an hour.
            if wait is None or turn == self.retries or unheard == UNHEARD:
                break
            time.sleep(wait)
        raise explain_error(self.address, failed) from None  # its request holds the key

    def read(self, said: bytes, body: Request) -> Reply:
        """Return the reply in the body of a response to a request."""
        return self.parse(said)

    def desk(self, client: Any) -> Any:
        """Return what makes a request of the SDK's client."""
        return partial(client.chat.completions.with_streaming_response.create, messages=[])

    def sent(self, client: Any, body: Request) -> bytes:
        """Return the whole body of a response: read in pieces, since no time limit of the SDK's ends a slow drip."""
        late = time.monotonic() + 2 * self.deadline
        pieces = []
        # All of it in `extra_body`, which takes the place of the rest: the SDK knows
        # neither grammars nor what else servers take.
        with self.desk(client)(model="", extra_body=self.whole(body)) as response:
            for piece in torn(response.iter_bytes()):
                pieces.append(piece)
                if time.monotonic() > late:
                    raise Garbled("an answer too slowly")
        found = b"".join(pieces)
        check_key(self.address, found)
        return found

    def whole(self, body: Request) -> Request:
        """Return a request as it is sent."""
        limit = "max_completion_tokens" if self.address.url == OPENAI else "max_tokens"
        return {"model": self.address.model, **{limit if k == "max_tokens" else k: v for k, v in body.items()}}

    def check(self, reply: Reply, body: Request) -> None:
        """Refuse an answer that is longer than was asked."""
        if reply.tokens > body["max_tokens"]:
            raise UserError(
                f"{self.address.host} wrote {reply.tokens} tokens where at most {body['max_tokens']} were asked for: "
                "use a server that honours max_tokens."
            )


def used(reply: Reply, most: Use) -> Use:
    """Return what a reply says that it used; the most that it can have used, where it does not say."""
    if not (reply.prompt or reply.tokens):
        return most
    return replace(most, read=reply.prompt, written=reply.tokens)


def check_key(address: Address, found: bytes) -> None:
    """Refuse a server that sends the user's key back."""
    if address.key and address.key in unescaped(found):
        raise UserError(f"{address.host} sends your key back: use another server, and another key.")


def unescaped(found: bytes) -> str:
    """Return JSON, whole or cut off, with the letters of ASCII that stand in escapes."""
    letters = re.sub(rb"\\u00([0-7][0-9a-fA-F])", lambda match: bytes([int(match[1], 16)]), found)
    return letters.replace(b"\\/", b"/").decode(errors="replace")


def without_key(address: Address, words: str) -> str:
    """Return what a server says, in a line and without the user's key, which some repeat."""
    line = " ".join(words.split())
    return (line.replace(address.key, "(the key)") if address.key else line)[:200]


def pause(error: Any, turn: int) -> float | None:
    """Return the seconds after which to ask again, as a server says or doubling; `None` where that is of no use."""
    import openai

    if isinstance(error, openai.APIStatusError):
        if not passing(error.status_code):
            return None
        asked = seconds(error.response.headers.get("retry-after", ""))
        if asked > 0:
            return asked if asked <= PATIENCE else None
    # Not quite alike for all, so that requests that were refused together do not come back together.
    return float(min(8.0, 0.5 * 2**turn) * random.uniform(0.75, 1))


def seconds(said: str) -> float:
    """Return how long a Retry-After asks to wait, a number or a date; 0 where it says neither."""
    if re.fullmatch(r"\d+(\.\d+)?", said):
        return float(said)
    try:
        return parsedate_to_datetime(said).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0


def passing(status: int) -> bool:
    """Say whether a server may do later what it does not do now."""
    return status in (408, 409, 429) or status >= 500


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
    words = without_key(address, str(body.get("message") or body.get("detail") or error.message))
    said = f"{error.status_code}, {words}"
    if error.status_code in (401, 403):
        return UserError(f"{where} refuses the key ({said}): set {KEY} to one that may use this model.")
    if error.status_code == 404:
        return UserError(f"{where} is not there ({said}): give the address up to /v1, and a model that it lists.")
    if passing(error.status_code):
        return UserError(f"{where} fails again and again ({said}): {LATER}.")
    return Refused(f"{where} refuses the request ({said}): change what it names, or use another server.")
