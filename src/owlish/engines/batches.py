"""The Batch API: many requests in one file, answered within a day at half the price, and kept like any other answer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owlish.engines.orders import NAME, Order, explained
from owlish.engines.replies import Garbled, Reply, parse_reply, read_reply, write_reply
from owlish.engines.server import LATER, RETRIES, Request, Server, check_key, without_key
from owlish.graph.errors import UserError
from owlish.graph.files import replacing
from owlish.graph.spending import SPENT, Use

ENDPOINT = "/v1/chat/completions"
LEAST = 64
"""Requests that are worth a batch: fewer are asked one by one."""
MOST, MOST_BYTES = 20_000, 100_000_000
"""Requests and bytes of one batch; OpenAI takes 50,000 and 200 MB."""


def ask_in_batches(server: Server, asked: dict[str, Request]) -> None:
    """Keep the answers to requests, which stand under their digests, as far as batches bring them.

    Batches that a killed run left are waited for first. What no batch answers is left to be asked one by one.
    """
    folder = server.store / SPENT / "batches"
    with server.client() as client:
        for file in sorted(folder.glob("*.jsonl")):
            batch = Batch(server, client, file)
            # A batch that answers none of these requests is for whoever ordered it.
            if batch.requests.keys() & missing(server, asked):
                batch.resume()
        for lines in split_batches(server, missing(server, asked)):
            content = b"".join(lines)
            file = folder / f"{hashlib.sha256(content).hexdigest()[:32]}.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            # On the disk before anything is ordered: after a kill it says what was asked for.
            with replacing(file) as stream:
                stream.write(content)
            Batch(server, client, file).begin()


def missing(server: Server, asked: dict[str, Request]) -> dict[str, Request]:
    """Return the requests whose answers are not kept."""
    return {digest: body for digest, body in asked.items() if read_reply(server.folder, digest) is None}


def split_batches(server: Server, asked: dict[str, Request]) -> Iterator[list[bytes]]:
    """Yield the lines of batches for requests: none where these are too few."""
    lines: list[bytes] = []
    for digest, body in asked.items() if len(asked) >= LEAST else ():
        one = {"custom_id": digest, "method": "POST", "url": ENDPOINT, "body": server.whole(body)}
        lines.append(json.dumps(one).encode() + b"\n")
        if len(lines) == MOST or sum(map(len, lines)) > MOST_BYTES:
            yield lines
            lines = []
    if lines:
        yield lines


@dataclass(frozen=True)
class Batch:
    """A batch whose requests are in a file of the store as long as its answers are not kept."""

    server: Server
    client: Any
    file: Path

    @property
    def requests(self) -> dict[str, Request]:
        """The requests by their digests."""
        lines = map(json.loads, self.file.read_bytes().splitlines())
        return {line["custom_id"]: line["body"] for line in lines}

    @property
    def patient(self) -> Any:
        """The client that asks again: for all but what is paid for."""
        return self.client.with_options(max_retries=RETRIES)

    @property
    def order(self) -> Order:
        """The batch as an order of the service."""
        record, ledger = self.file.with_suffix(".json"), self.server.ledger
        return Order(self.server.address, self.patient.batches, self.file.stem, record, ledger)

    def begin(self) -> None:
        """Order the batch, and keep its answers."""

        def create() -> Any:
            # To send a file again costs nothing, and so may be done after an error; to order again costs twice.
            file = self.patient.files.create(file=("requests.jsonl", self.file.read_bytes()), purpose="batch")
            return self.client.batches.create(
                input_file_id=file.id,
                endpoint=ENDPOINT,
                completion_window="24h",
                metadata={NAME: self.order.mark},
            )

        self.take(self.order.placed(create, self.used([self.server.most(body) for body in self.requests.values()])))

    def resume(self) -> None:
        """Keep the answers of a batch that a killed run left; forget it where it was not ordered."""
        placed = self.order.found()
        if placed is not None:
            self.take(placed)
        else:
            self.server.ledger.settle(self.order.mark, self.used([]))
            self.drop()

    def take(self, placed: Any) -> None:
        """Wait for the batch and keep its answers; raise `UserError` where it has not answered most requests."""
        ended, requests, address = self.order.ended(placed), self.requests, self.server.address
        found = {digest: reply for digest, reply in replies_of(self.read(ended.output_file_id)) if digest in requests}
        # Kept before the batch is forgotten: a kill between the two asks for nothing again.
        for digest, reply in found.items():
            write_reply(self.server.folder, digest, reply)
        name = address.priced
        self.order.settle(ended, self.used([Use(name, reply.prompt, reply.tokens) for reply in found.values()]))
        self.drop()
        if ended.status != "completed" or len(found) < len(requests) / 2:
            why = without_key(address, reason(ended, self.read(ended.error_file_id)))
            raise UserError(
                f"the batch {ended.id} of {address.host} is {ended.status} with {len(found):,} of {len(requests):,} "
                f"answers ({why}): {LATER}."
            )

    def used(self, uses: list[Use]) -> Use:
        """Return what requests use together, as a batch."""
        read, written = sum(use.read for use in uses), sum(use.written for use in uses)
        return Use(self.server.address.priced, read, written, batch=True)

    def read(self, file: str | None) -> bytes:
        """Return a file of the service, empty where there is none."""
        if file is None:
            return b""
        with explained(self.server.address):
            found: bytes = self.patient.files.content(file).read()
        check_key(self.server.address, found)
        return found

    def drop(self) -> None:
        """Forget the batch."""
        self.file.unlink(missing_ok=True)
        self.order.record.unlink(missing_ok=True)


def replies_of(content: bytes) -> Iterator[tuple[str, Reply]]:
    """Yield the answers in a batch's file with the digests of their requests; what is none is left out."""
    for line in content.splitlines():
        try:
            said = json.loads(line)
            if said["response"]["status_code"] == 200:
                yield str(said["custom_id"]), parse_reply(json.dumps(said["response"]["body"]).encode())
        except (Garbled, ValueError, TypeError, KeyError):
            continue


def reason(ended: Any, errors: bytes) -> str:
    """Return why a batch or its first request failed, in the service's words."""
    told = getattr(ended.errors, "data", None)
    return str(told[0].message) if told else errors.decode(errors="replace").partition("\n")[0] or "no reason is given"
