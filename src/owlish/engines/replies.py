"""What servers send back: read, checked, and kept on the disk under a digest of what was asked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from owlish.graph.files import replacing
from owlish.graph.spec import canonical
from owlish.lm.model import Ended

MOST_TOKENS = 10**9
"""The most tokens that a server may say it read or wrote."""
DROPPED = "dropped.json"
"""The file beside replies that counts how often those of each served model were dropped."""


class Garbled(Exception):
    """A server sent what is no answer, and may send one if it is asked again."""


@dataclass(frozen=True)
class Reply:
    """A server's answer to one request: its text, its number of tokens (0 where that is not said), how it ended.

    `id` is the server's name for it, `prompt` the number of tokens that it read.
    """

    text: str
    tokens: int
    prompt: int
    ended: Ended
    id: str


def parse_reply(body: bytes) -> Reply:
    """Return the one answer in the body of a response; raise `Garbled` where it holds no such thing."""
    whole, choice = only_choice(body)
    try:
        said, usage = choice["message"], whole.get("usage") or {}
        # OpenAI writes a refusal into a field of its own.
        text, ended = said.get("content") or said.get("refusal") or "", choice["finish_reason"]
        if not isinstance(text, str) or not isinstance(ended, str):
            raise TypeError
        return Reply(
            text=text,
            tokens=number(usage.get("completion_tokens")),
            prompt=number(usage.get("prompt_tokens")),
            ended="stop" if ended == "stop" else "length",  # a filter of the server's leaves an answer unfinished, too
            id=str(whole.get("id") or ""),
        )
    except (TypeError, KeyError, AttributeError):
        raise Garbled("an answer without a text or an end") from None


def only_choice(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the body of a response says, and its one answer; raise `Garbled` where it holds no such thing."""
    try:
        whole = json.loads(body)
    except ValueError:
        page = body.lstrip().startswith(b"<")
        raise Garbled("a web page (perhaps its address is wrong)" if page else "JSON that is cut off") from None
    choices = whole.get("choices") if isinstance(whole, dict) else None
    if not isinstance(choices, list):
        raise Garbled("something other than a chat completion")
    # Some servers send several answers to one request, or none, as if all were well.
    if len(choices) != 1:
        raise Garbled(f"{len(choices)} answers to one request")
    return whole, choices[0]


def number(said: object) -> int:
    """Return a number of tokens, 0 where none is said; what cannot be one is `Garbled`."""
    # By its type, since a limit is kept by it: a negative number would lift that, and `True` is an `int`.
    if type(said) is not int or not 0 <= said <= MOST_TOKENS:
        if said is None:
            return 0
        raise Garbled("a number of tokens that is none")
    return said


def digest_of(asked: dict[str, Any]) -> str:
    """Return the digest of what was asked, and of whom."""
    return hashlib.sha256(canonical(asked)).hexdigest()


def write_reply(folder: Path, digest: str, reply: Reply) -> None:
    """Keep a reply: the file is whole or absent, and holds a digest of what it says."""
    place = folder / digest[:2]
    place.mkdir(parents=True, exist_ok=True)
    body = json.dumps(asdict(reply)).encode()
    with replacing(place / digest) as file:
        file.write(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)


def read_reply(folder: Path, digest: str, kind: type[Reply] = Reply) -> Reply | None:
    """Return the reply to a request that was kept, or `None` where there is none, or a damaged one."""
    try:
        said, _, body = (folder / digest[:2] / digest).read_bytes().partition(b"\n")
    except OSError:
        return None
    return kind(**json.loads(body)) if hashlib.sha256(body).hexdigest().encode() == said else None


def times_dropped(folder: Path, who: str) -> int:
    """Return how often all replies of a served model were dropped."""
    file = folder / DROPPED
    return int(json.loads(file.read_text()).get(who, 0)) if file.exists() else 0


def drop_all(folder: Path, who: str) -> None:
    """Use no reply of a served model any more: what is asked of it from now on stands under other digests."""
    file = folder / DROPPED
    known = json.loads(file.read_text()) if file.exists() else {}
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(file) as stream:
        stream.write(json.dumps({**known, who: times_dropped(folder, who) + 1}).encode())


def forget(folder: Path, digest: str) -> None:
    """Drop a reply that was kept."""
    (folder / digest[:2] / digest).unlink(missing_ok=True)
