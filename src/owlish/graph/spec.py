"""Values, nodes and their keys: an experiment is a value, and a hash of its fields names its result."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol

Read = Callable[["Node"], Any]
Tick = Callable[[int, int], None]


@dataclass(frozen=True)
class Value:
    """A frozen value that may stand in a spec: a trait, a domain, a filter, a recipe.

    A subclass names its `kind`, which never changes, and raises `version` when the same fields would
    give another result.
    """

    kind: ClassVar[str] = ""
    version: ClassVar[int] = 1

    def __init_subclass__(cls, kind: str = "", version: int = 1) -> None:
        super().__init_subclass__()
        cls.kind = kind or cls.__name__.lower()
        cls.version = version

    def spec(self) -> dict[str, Any]:
        """Return the fields that make the key, as plain JSON values; nodes below stand as their keys."""
        named = {f.name: encode(getattr(self, f.name), f.name) for f in fields(self)}
        return {"kind": self.kind, "version": self.version, **named}

    @cached_property
    def encoded(self) -> dict[str, Any]:
        """The spec, worked out once: thousands of nodes share their traits and recipes."""
        return self.spec()

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone, for a worker process."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class Node(Value):
    """A value with a result: `compute` writes files into a folder, `load` reads them back.

    A subclass says in its `caption` what the result is, with its fields in braces.
    """

    caption: ClassVar[str] = ""

    @cached_property
    def key(self) -> str:
        """The name of the result in a store: 32 hexadecimal digits of the SHA-256 of the spec."""
        return hashlib.sha256(canonical(self.spec())).hexdigest()[:32]

    def __str__(self) -> str:
        """Return a few words for a progress display: the caption, in which a node below stands as its own."""
        return self.caption.format_map(vars(self)) or self.kind

    def inputs(self) -> tuple[Node, ...]:
        """Return the nodes whose results `compute` reads, each once, in the order of the fields."""
        found = {node.key: node for f in fields(self) for node in nodes_in(getattr(self, f.name))}
        return tuple(found.values())

    def check(self) -> None:
        """Raise `ValueError` where this can be seen to fail before anything is computed."""

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Write the result's files into `folder`; `read` gives inputs, `tick(done, total)` tells progress.

        `folder` survives an interruption, so that work done in parts can go on where it stopped.
        """
        raise NotImplementedError

    def load(self, folder: Path, read: Read) -> Any:
        """Read the result back from `folder`."""
        raise NotImplementedError


class Question(Protocol):
    """What is answered by reading the results of some nodes, and is not kept."""

    @property
    def needs(self) -> tuple[Node, ...]:
        """The nodes whose results it reads."""

    def found(self, read: Read) -> Any:
        """Return the answer."""


def encode(value: object, where: str) -> Any:
    """Return `value` as plain JSON values, or refuse it in a sentence that names the field `where`."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}: give a finite number.")
        return value
    if isinstance(value, Node):
        return {"node": value.key}
    if isinstance(value, Value):
        return value.encoded
    if isinstance(value, tuple):
        return [encode(item, where) for item in value]
    if callable(value):
        raise ValueError(f"{where} is a function, which has no lasting name: give a frozen value instead.")
    raise ValueError(f"{where} is a {type(value).__name__}: a spec holds numbers, text, tuples and values.")


def canonical(spec: object) -> bytes:
    """Return the one JSON text of a spec, as bytes."""
    return json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def nodes_in(value: object) -> Iterator[Node]:
    """Yield the nearest nodes inside a field's value."""
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from nodes_in(item)
    elif isinstance(value, Value) and is_dataclass(value):
        for f in fields(value):
            yield from nodes_in(getattr(value, f.name))


def everything(*nodes: Node) -> tuple[Node, ...]:
    """Return nodes and all below them, each once, inputs before what reads them."""
    found: dict[str, Node] = {}

    def visit(node: Node) -> None:
        if node.key not in found:
            for child in node.inputs():
                visit(child)
            found[node.key] = node

    for node in nodes:
        visit(node)
    return tuple(found.values())
