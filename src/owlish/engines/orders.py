"""Work that a service is paid for as a whole, a fine-tuning job or a batch: never ordered twice, and waited for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from owlish.engines.address import Address
from owlish.engines.server import LATER, check_key, explain_error
from owlish.graph.errors import UserError
from owlish.graph.files import replacing
from owlish.graph.spending import Ledger, Use

NAME = "owlish"
"""The name under which an order's metadata hold its mark."""
GONE = ("failed", "cancelled", "expired")
ENDS = (*GONE, "succeeded", "completed")
FIRST_LOOK, LOOK_EVERY = 0.25, 30.0
"""Seconds between two looks at an order: the first, doubling up to the last."""
LOST = (0.5, 2.0, 5.0)
"""Seconds after which an order is looked for that may or may not have been taken."""
LATEST = 1_000
"""The orders of an account among which one is looked for, the latest first."""


@dataclass(frozen=True)
class Order:
    """An order at a desk of the SDK: the fine-tuning jobs or the batches of a client that asks again.

    Its metadata hold `mark`, which names what is ordered, so that it is found again; `record` is the file that says
    that it was asked for and, later, its name at the service.
    """

    address: Address
    desk: Any
    mark: str
    record: Path
    ledger: Ledger

    def placed(self, create: Callable[[], Any], most: Use) -> Any:
        """Return the order as the service has it: one that was placed before, or a new one.

        `create` must not ask again by itself: after an error the service may have taken the order all the same.
        """
        order = self.found()  # first: a service without such a desk must leave no entry
        # Under the order's own mark: what goes on after a kill finds its entry, and reserves nothing again.
        self.ledger.reserve(most, entry=self.mark)
        try:
            order = order or self.created(create, most)
        finally:
            self.ledger.leave(self.mark)
        check_key(self.address, str(order.id).encode())
        self.write({"id": order.id})
        return order

    def created(self, create: Callable[[], Any], most: Use) -> Any:
        """Return a new order; where the service answers with an error, look whether it has taken it."""
        import openai

        # First, so that a record without a name says: this may have been ordered.
        self.write({})
        try:
            return create()
        except openai.OpenAIError as error:
            if getattr(error, "status_code", 500) < 500:  # it was surely not taken
                self.ledger.settle(self.mark, Use(most.model))
                self.record.unlink()
            elif found := self.found():
                return found
            raise explain_error(self.address, error) from None

    def found(self) -> Any:
        """Return the order that was placed before, unless it failed; `None` where there is none.

        One that was asked for, and whose name never came, is looked for several times: lists may lag behind.
        """
        said = json.loads(self.record.read_text()) if self.record.exists() else None
        with explained(self.address):
            if said and "id" in said:
                return living([self.desk.retrieve(said["id"])])
            for wait in (0.0,) if said is None else LOST:
                time.sleep(wait)
                latest = islice(self.desk.list(limit=100), LATEST)
                if order := living(o for o in latest if (o.metadata or {}).get(NAME) == self.mark):
                    return order
        return None

    def ended(self, order: Any) -> Any:
        """Return the order once it has ended, well or not."""
        wait = FIRST_LOOK
        while order.status not in ENDS:
            time.sleep(wait)
            wait = min(2 * wait, LOOK_EVERY)
            with explained(self.address):
                order = self.desk.retrieve(order.id)
        return order

    def settle(self, order: Any, use: Use) -> None:
        """Enter what an ended order used, in place of the most that it could."""
        # In this order: a kill between the lines counts too much, and never too little.
        self.ledger.settle(order.id, use)
        self.ledger.settle(self.mark, Use(use.model))

    def write(self, said: dict[str, str]) -> None:
        """Write the order's record."""
        self.record.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.record) as file:
            file.write(json.dumps({"mark": self.mark, **said}).encode())


def living(orders: Iterable[Any]) -> Any:
    """Return the first order that did not fail, if there is one."""
    return next((order for order in orders if order.status not in GONE), None)


@contextmanager
def explained(address: Address) -> Iterator[None]:
    """Tell errors of the SDK in a sentence, without the key."""
    import openai

    try:
        yield
    except openai.NotFoundError:
        raise UserError(f"{address.host} has no such files, jobs or batches: use a service that offers them.") from None
    except openai.OpenAIError as error:
        raise explain_error(address, error) from None
    except ValueError as error:  # JSON that is cut off; the SDK does not say so itself
        if isinstance(error, UserError):
            raise
        raise UserError(f"{address.host} sent JSON that is cut off: {LATER}.") from None
