"""What paid answers may cost: prices, the limit that a store is under, and a ledger of what was used of each model."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from owlish.graph.errors import UserError
from owlish.graph.files import read_small, replacing
from owlish.graph.spec import Node, everything
from owlish.graph.store import locked

SPENT = ".spent"
"""The folder of a store that holds its limit, its prices and its ledger."""
TUNED = "ft:"
"""What a model's name begins with, in a table of prices, where it was fine-tuned by its service."""
FORM = "give such a table: {gpt-4.1-nano: {input: 0.10, output: 0.40}}, in any currency for a million tokens."
ROUNDING = 1e-9
"""The part of a limit by which a sum of prices may pass it, as sums of floats do."""
Prices = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Use:
    """Tokens of a model that were read, written and trained on, live or in a batch."""

    model: str
    read: int = 0
    written: int = 0
    trained: int = 0
    batch: bool = False


@dataclass(frozen=True)
class Spending:
    """What a store may spend in all, at the user's prices, and whether rows are asked for in batches.

    `prices` are those of a million tokens, by model: `input`, `output` and, for `ft:MODEL` (whatever is tuned from
    it), `training`; `batch` is the share of them that a batch costs, 1 if not given.
    """

    limit: float | None = None
    prices: Prices = field(default_factory=dict)
    batch: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None and not (self.limit >= 0 and self.prices):
            raise UserError("a spending limit is a number and needs prices: name a table of them with --prices.")
        for model, price in self.prices.items():
            check_price(model, price)

    def cost(self, use: Use) -> float:
        """Return what a use costs; raise `UserError` where the table has no price for the model."""
        price = self.prices.get(use.model)
        if price is None:
            raise UserError(f"the table of prices lacks {use.model}: add it (0 where it costs nothing).")
        share = price.get("batch", 1.0) if use.batch else 1.0
        asked = share * (use.read * price["input"] + use.written * price["output"])
        return (asked + use.trained * price.get("training", 0.0)) / 1e6

    def begin(self, root: Path, nodes: Sequence[Node]) -> None:
        """Put a store under these terms for a run of nodes that pay; a limit holds until another is given.

        Raise `UserError` where a model that these nodes pay for has no price.
        """
        models = {model for node in everything(*nodes) for model in node.pays}
        if not models:
            return
        # A run without a limit of its own, such as one of another process, must not lift the store's.
        terms = self if self.limit is not None else replace(terms_of(root), batch=self.batch)
        for model in models if terms.limit is not None else ():
            terms.cost(Use(model))
        (root / SPENT).mkdir(parents=True, exist_ok=True)
        with replacing(root / SPENT / "terms.json") as file:
            file.write(json.dumps(asdict(terms), indent=1).encode())


def check_price(model: str, price: object) -> None:
    """Refuse a price that is not of the right form."""
    known = {"input", "output", *(["training"] if model.startswith(TUNED) else [])}
    if not isinstance(price, Mapping) or not known <= set(price) <= known | {"batch"}:
        raise UserError(f"the price of {model} holds {', '.join(sorted(known))} and perhaps batch: {FORM}")
    if not all(isinstance(p, int | float) and p >= 0 for p in price.values()):
        raise UserError(f"a price of {model} is not a number: {FORM}")


def read_prices(file: str | Path) -> Prices:
    """Return the table of prices in a YAML or JSON file."""
    import yaml

    try:
        found = yaml.safe_load(read_small(file, "a table of prices"))
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{file} is no table of prices: {FORM}")
    return {str(model): price for model, price in found.items()}


def terms_of(root: Path) -> Spending:
    """Return the terms that a store is under: no limit, where none was ever given."""
    file = root / SPENT / "terms.json"
    return Spending(**json.loads(file.read_text())) if file.exists() else Spending()


class Ledger:
    """What was used of each model in a store: one line before each request, with the most that it can use, one after.

    A request without a second line counts at its most: whoever made it was killed, and it may be billed. Lines are
    added and read under a lock, so that all processes together stay within the limit.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.file, self.terms = root, root / SPENT / "ledger.jsonl", terms_of(root)
        self.uses: dict[str, Use] = {}
        self.spent = 0.0
        self.place = 0
        self.under_way: set[str] = set()
        self.settled = threading.Condition()

    def reserve(self, most: Use, entry: str = "") -> str:
        """Enter the most that a request can use and return the entry's name, or raise `UserError` at the limit.

        Where other requests of this process are under way, it waits for what they leave of their own entries.
        """
        entry = entry or secrets.token_hex(8)
        while not self.entered(entry, most):
            with self.settled:
                if not self.under_way:
                    raise UserError(self.refusal(most))
                # Only threads of this process wake it: what other processes leave of
                # their entries is seen by looking again.
                self.settled.wait(1.0)
        with self.settled:
            self.under_way.add(entry)
        return entry

    def entered(self, entry: str, most: Use) -> bool:
        """Enter a use unless it would pass the limit, and say whether it stands there."""
        with locked(self.root / ".locks" / "spending"):
            self.read()
            if self.uses.get(entry) == most:
                return True  # a batch or a job that goes on after a kill
            limit = self.terms.limit
            if limit is not None and self.spent + self.terms.cost(most) > limit * (1 + ROUNDING):
                return False
            self.add(entry, most)
            return True

    def settle(self, entry: str, use: Use) -> None:
        """Enter what a request did use."""
        with locked(self.root / ".locks" / "spending"):
            self.read()
            self.add(entry, use)

    def leave(self, entry: str) -> None:
        """Take word that a request is no longer under way; its entry stays as it is, since it may be billed."""
        with self.settled:
            self.under_way.discard(entry)
            self.settled.notify_all()

    def refusal(self, most: Use) -> str:
        """Say what was spent and what the next request could cost."""
        return (
            f"the next request to {most.model} could cost {self.terms.cost(most):.3g}, {self.spent:.4g} is spent or "
            f"under way in {self.root}, and the limit is {self.terms.limit:.4g}: give a higher --limit; answers stay."
        )

    def read(self) -> None:
        """Read the lines that were added since the last time; one that was cut off by a crash says nothing."""
        if not self.file.exists():
            return
        with self.file.open("rb") as file:
            file.seek(self.place)
            added = file.read()
        for line in added.splitlines():
            try:
                entry, *numbers = json.loads(line)
                use = Use(*numbers)
            except (ValueError, TypeError):
                continue
            self.take(entry, use)
        self.place += len(added)

    def take(self, entry: str, use: Use) -> None:
        """Count a use in place of the one that stood under the same name."""
        if self.terms.limit is not None:
            before = self.uses.get(entry)
            self.spent += self.terms.cost(use) - (self.terms.cost(before) if before else 0.0)
        self.uses[entry] = use

    def add(self, entry: str, use: Use) -> None:
        """Add a line, whole and on the disk before anything is asked."""
        line: list[Any] = [entry, *asdict(use).values()]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("ab") as file:
            # The line feed before it keeps a line apart from one that was cut off.
            file.write(b"\n" + json.dumps(line).encode() + b"\n")
            file.flush()
            # Without a limit, nothing is decided by these lines.
            if self.terms.limit is not None:
                os.fsync(file.fileno())
