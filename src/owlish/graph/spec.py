"""Values, nodes and their keys: an experiment is a value, and a hash of its fields names its result."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from owlish.graph.errors import UserError
from owlish.graph.tabled import Brief
from owlish.graph.typed import check_fields

Read = Callable[["Node"], Any]
Tick = Callable[[int, int], None]
JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
"""What writes specs; `json.dumps` would make one anew for each of a benchmark's hundred thousands of fields."""


@dataclass(frozen=True)
class Value(Brief):
    """A frozen value that may stand in a spec: a trait, a domain, a filter, a recipe.

    A subclass names its `kind`, which never changes, and raises `version` when the same fields would
    give another result. Fields are checked against their annotations; `example` is what an error proposes to one
    who gives something else. Fields in `later` came after users held results: as long as they have their default, they
    are no part of the key, which stays what it always was.
    """

    kind: ClassVar[str] = ""
    version: ClassVar[int] = 1
    example: ClassVar[str] = ""
    later: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, kind: str = "", version: int = 1) -> None:
        super().__init_subclass__()
        # Set for each class: one that inherited its parent's kind would share its keys, and so its results.
        cls.kind = kind or cls.__name__.lower()
        cls.version = version
        # `dataclass` keeps it, where it would else make one that hashes all that lies below at each call.
        cls.__hash__ = Value.__hash__  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        """Raise `UserError` where a field holds what it cannot."""
        check_fields(self)

    def spec(self) -> dict[str, Any]:
        """Return the fields that make the key, as plain JSON values; nodes below stand as their keys."""
        told = [f for f in fields(self) if f.name not in self.later or getattr(self, f.name) != f.default]
        named = {f.name: encode(getattr(self, f.name), f.name) for f in told}
        return {"kind": self.kind, "version": self.version, **named}

    # `cached_property` writes into `__dict__` itself, past the `__setattr__` that a frozen dataclass refuses.
    @cached_property
    def encoded(self) -> Encoded:
        """The spec, worked out once: thousands of nodes share their traits and recipes."""
        return Encoded(self.spec())

    def __hash__(self) -> int:
        return self.hashed

    @cached_property
    def hashed(self) -> int:
        """The hash of its fields, worked out once: a benchmark's values nest thousands of others."""
        return hash(tuple(getattr(self, f.name) for f in fields(self)))

    @cached_property
    def inside(self) -> tuple[Node, ...]:
        """The nearest nodes inside its fields, each once and in their order."""
        found = {node.key: node for f in fields(self) for node in nodes_in(getattr(self, f.name))}
        return tuple(found.values())

    @cached_property
    def classes(self) -> frozenset[type]:
        """The classes of this value and of all values inside it: whoever makes a node must be able to import them."""
        inside = (classes_in(getattr(self, f.name)) for f in fields(self))
        return frozenset([type(self)]).union(*inside)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone, for a worker process."""
        # Not what is cached: pickled, each node would carry the specs of all below it.
        # A class that needs some of it adds it.
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class Resources:
    """What a node needs of a machine: threads, bytes of memory where they are known, and a GPU where there is one."""

    threads: int = 1
    memory: int | None = None
    device: bool = False

    def __str__(self) -> str:
        memory = [] if self.memory is None else [f"{self.memory / 2**30:.1f} GiB of memory"]
        return " and ".join([f"{self.threads} threads", *memory, *(["a GPU"] if self.device else [])])


@dataclass(frozen=True)
class Node(Value):
    """A value with a result: `compute` writes files into a folder, `load` reads them back.

    A subclass says in its `caption` what the result is, with its fields in braces.
    """

    caption: ClassVar[str] = ""
    usual: ClassVar[float] = 1.0
    """The seconds that it takes one core on a small base, about, however many rows it reads or writes."""
    usual_row: ClassVar[float] = 0.0
    """The seconds that each row takes beside that."""

    @cached_property
    def key(self) -> str:
        """The name of the result in a store: 32 hexadecimal digits of the SHA-256 of the spec."""
        # The spec holds the keys of the nodes below: so a key changes with anything that the result depends on.
        return hashlib.sha256(canonical(self.spec())).hexdigest()[:32]

    def __str__(self) -> str:
        """Return a few words for a progress display: the caption, in which a node below stands as its own."""
        return self.caption.format_map(vars(self)) or self.kind

    @property
    def most_rows(self) -> int:
        """The most rows that it reads or writes, where its time depends on them."""
        return 0

    def expected(self, given: int | None = None) -> float:
        """Return the seconds that it takes one core on a small base, about; `given` rows are all that there are."""
        many = self.most_rows
        return self.usual + self.usual_row * (many if given is None else min(many, given))

    @property
    def subject(self) -> Node:
        """The node that what it measures is about, in whose curves that is drawn: itself, unless it asks another."""
        return self

    def inputs(self) -> tuple[Node, ...]:
        """Return the nodes whose results `compute` reads, each once, in the order of the fields."""
        return self.inside

    def load_inputs(self) -> tuple[Node, ...]:
        """Return the nodes whose results `load` reads: a result that is kept in parts cannot be read without them."""
        return ()

    @cached_property
    def children(self) -> tuple[Node, ...]:
        """All nodes just below, worked out once."""
        found = {node.key: node for node in (*self.inputs(), *self.load_inputs())}
        return tuple(found.values())

    @cached_property
    def load_keys(self) -> frozenset[str]:
        """The keys of all results that are read when this node's result is read, its own among them."""
        return frozenset([self.key]).union(*(node.load_keys for node in self.load_inputs()))

    @cached_property
    def read_keys(self) -> frozenset[str]:
        """The keys of all results that `compute` reads: inputs, and what their `load` reads in turn."""
        return frozenset().union(*(node.load_keys for node in self.inputs()))

    @property
    def load_resources(self) -> Resources:
        """What having its result in memory takes: little, unless that is a model."""
        return Resources()

    @property
    def resources(self) -> Resources:
        """What making it takes: what all that it reads takes together."""
        read = [node.load_resources for node in self.children]
        return Resources(
            threads=max((one.threads for one in read), default=1),
            memory=sum(one.memory or 0 for one in read) or None,
            device=any(one.device for one in read),
        )

    @property
    def pays(self) -> tuple[str, ...]:
        """The models that making it may pay for, by their names in a table of prices."""
        return ()

    def check(self) -> None:
        """Raise `UserError` where this can be seen to fail before anything is computed."""

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Write the result's files into `folder`; `read` returns an input's result, `tick(done, total)` tells progress.

        `folder` survives an interruption, so that work done in parts can go on where it stopped.
        """
        raise NotImplementedError

    def load(self, folder: Path, read: Read) -> Any:
        """Read the result back from `folder`; `read` returns the results of `load_inputs` alone."""
        raise NotImplementedError


R_co = TypeVar("R_co", covariant=True)


class Makes(Protocol[R_co]):
    """A node as a type checker sees it: what is read back is an `R_co`, such as the `Answers` of an `Asked`."""

    @property
    def key(self) -> str:
        """The name of the result in a store."""

    def load(self, folder: Path, read: Read) -> R_co:
        """Return the result."""


@runtime_checkable
# `isinstance` compares these two names alone, so no node may have both.
class Question(Protocol[R_co]):
    """What is answered by reading the results of some nodes, and is not kept."""

    @property
    def needs(self) -> tuple[Node, ...]:
        """The nodes whose results it reads."""

    def found(self, read: Read) -> R_co:
        """Return the answer."""


def encode(value: object, where: str) -> Any:
    """Return `value` as plain JSON values, or refuse it in a sentence that names the field `where`."""
    if isinstance(value, str) and not value.isascii() and not is_text(value):
        raise UserError(f"{where} holds half of a surrogate pair, which is no character: write it in UTF-8.")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        # JSON has no such numbers, and NaN differs from itself: no key could be found again by an equal value.
        if not math.isfinite(value):
            raise UserError(f"{where} is {value}: give a finite number.")
        return value
    if isinstance(value, Node):
        return {"node": value.key}
    if isinstance(value, Value):
        return value.encoded
    if isinstance(value, tuple):
        return [encode(item, where) for item in value]
    if callable(value):
        raise UserError(f"{where} is a function, which has no lasting name: give a frozen value instead.")
    raise UserError(f"{where} is a {type(value).__name__}: a spec holds numbers, text, tuples and values.")


def is_text(value: str) -> bool:
    """Say whether UTF-8 can hold a text: names of files and escapes in JSON may hold half of a character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class Encoded(dict[str, Any]):
    """A value's spec, which keeps its text: a benchmark's thousands of keys hold the same traits."""

    @cached_property
    def text(self) -> str:
        """Its canonical JSON text."""
        return text_of(dict(self))


def text_of(spec: object) -> str:
    """Return the one JSON text of a spec: keys in order, no spaces."""
    # The text must be that which `JSON.encode` gives of the whole: it is only put
    # together from kept parts, to save time.
    if isinstance(spec, Encoded):
        return spec.text
    if isinstance(spec, dict):
        pairs = (f"{JSON.encode(key)}:{text_of(spec[key])}" for key in sorted(spec))
        return "{" + ",".join(pairs) + "}"
    if isinstance(spec, list) and any(isinstance(item, Encoded | list) for item in spec):
        return "[" + ",".join(map(text_of, spec)) + "]"
    return JSON.encode(spec)


def canonical(spec: object) -> bytes:
    """Return the text of a spec as bytes."""
    return text_of(spec).encode()


def nodes_in(value: object) -> Iterator[Node]:
    """Yield the nearest nodes inside a field's value."""
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from nodes_in(item)
    elif isinstance(value, Value):
        yield from value.inside


def classes_in(value: object) -> frozenset[type]:
    """Return the classes of all values inside a field's value."""
    if isinstance(value, Value):
        return value.classes
    return frozenset().union(*map(classes_in, value)) if isinstance(value, tuple) else frozenset()


def check_importable(node: Node) -> None:
    """Raise `UserError` where a worker process cannot import a class that a node is made of."""
    # Pickle names a class by its module and name: a worker has neither the caller's
    # main file nor what a function defines.
    strange = next((c for c in node.classes if "<locals>" in c.__qualname__ or c.__module__ == "__main__"), None)
    if strange:
        where = "the main file" if strange.__module__ == "__main__" else "a function"
        raise UserError(
            f"{strange.__name__} is defined in {where}, where worker processes cannot import it: "
            "define its classes in a module, at the top level."
        )


def everything(*nodes: Node) -> tuple[Node, ...]:
    """Return nodes and all below them, each once, inputs before what reads them."""
    found: dict[str, Node] = {}

    def visit(node: Node) -> None:
        if node.key not in found:
            for child in node.children:
                visit(child)
            found[node.key] = node

    for node in nodes:
        visit(node)
    return tuple(found.values())
