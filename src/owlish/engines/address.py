"""Names of served models: `openai:NAME`, or the address of an OpenAI-compatible server, `#` and the model's name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from owlish.graph.errors import UserError
from owlish.graph.spending import TUNED

OPENAI = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"
LIKE_A_KEY = re.compile(r"\bsk-[\w-]{16,}")
FORM = "a server is named with the model after #, as in http://127.0.0.1:8080/v1#model: give such a name."
HERE = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Address:
    """Where a model is served, what it is called there, and which model its service fine-tuned to make it."""

    url: str
    model: str
    tuned_from: str = ""

    def __str__(self) -> str:
        return f"{self.url}#{self.model}"

    @property
    def priced(self) -> str:
        """The name under which a table holds its price: that of what it was tuned from, after `ft:`."""
        return f"{TUNED}{self.tuned_from}" if self.tuned_from else self.model

    @property
    def host(self) -> str:
        """The server, as errors and manifests call it."""
        return urlsplit(self.url).netloc

    @property
    def here(self) -> bool:
        """Whether it is on this machine."""
        return urlsplit(self.url).hostname in HERE

    @property
    def key(self) -> str:
        """The user's key, empty where there is none or where it would cross a network in plain text."""
        return os.environ.get(KEY, "") if self.here or urlsplit(self.url).scheme == "https" else ""

    def check(self) -> None:
        """Refuse to go on without the SDK, or without the key that OpenAI wants."""
        if find_spec("openai") is None:
            raise UserError("asking a server needs the package openai: install owlish[api].")
        if self.url == OPENAI and not self.key:
            raise UserError(f"openai:{self.model} needs a key: set {KEY}.")


def address_of(name: str) -> Address | None:
    """Return where a base's name says that it is served, or `None` where it names no server.

    `UserError`, which never repeats the name, is raised where it holds a key, or names no model.
    """
    kind, _, rest = name.partition(":")
    kind = kind.lower()
    if kind not in ("openai", "http", "https"):
        return None
    url, _, model = (OPENAI, "", rest) if kind == "openai" else f"{kind}:{rest}".partition("#")
    try:
        parts = urlsplit(url)
        named = bool(parts.netloc and model and not re.search(r"\s", url) and parts.port != 0)
    except ValueError:  # brackets without an end, a port that is none
        # Without its cause: the words of `urlsplit` may repeat a part of the name, which may hold a key.
        raise UserError(FORM) from None
    key = os.environ.get(KEY)
    if parts.username or parts.password or parts.query or LIKE_A_KEY.search(name) or (key and key in name):
        raise UserError(f"the name of a base holds a key or a password: omit it, and set {KEY}.")
    if not named:
        raise UserError(FORM)
    return Address(url.rstrip("/"), model)
