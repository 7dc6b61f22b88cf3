"""Fine-tuning jobs of OpenAI-compatible services: upload rows, create the job once, wait, and return the model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from owlish.engines.address import Address
from owlish.engines.orders import NAME, Order
from owlish.engines.replies import Garbled, number
from owlish.engines.server import RETRIES, Server, check_key, without_key
from owlish.graph.errors import UserError
from owlish.graph.spending import TUNED, Use
from owlish.lm.recipes import Hosted


@dataclass(frozen=True)
class Job:
    """What a fine-tuning job made: the model's name at its service, the job's name, the tokens that were billed."""

    model: str
    id: str
    trained_tokens: int


def tune(address: Address, rows: bytes, recipe: Hosted, *, seed: int, key: str, store: Path, record: Path) -> Job:
    """Return the model that a service makes of one of its models and rows, which are chat JSONL.

    The job is found again by `key` and the rows, in its metadata, so that it is paid for once. Raise `UserError` with
    the service's reason where it fails.
    """
    server = Server(address, store)
    # With the rows: where a server ignored seeds, one key may stand for other rows in another store.
    mark = f"{key}-{hashlib.sha256(rows).hexdigest()[:32]}"
    # In bytes, since a token is one or more: some four times what a service bills.
    most = Use(TUNED + (address.tuned_from or address.model), trained=len(rows) * recipe.epochs)
    with server.client() as client:
        patient = client.with_options(max_retries=RETRIES)
        order = Order(address, patient.fine_tuning.jobs, mark, record, server.ledger)

        def create() -> Any:
            file = patient.files.create(file=("rows.jsonl", rows), purpose="fine-tune")
            return client.fine_tuning.jobs.create(
                model=address.model,
                training_file=file.id,
                method={"type": "supervised", "supervised": {"hyperparameters": recipe.hyperparameters}},
                seed=seed,
                suffix=NAME,
                metadata={NAME: mark},
            )

        ended = order.ended(order.placed(create, most))
    # A job that made a model and names no tokens counts at its most.
    at_most = most.trained if ended.fine_tuned_model else 0
    # Before a failure is told: it may have been billed as well.
    order.settle(ended, Use(most.model, trained=tokens_billed(ended.trained_tokens, at_most)))
    return job_of(address, ended)


def tokens_billed(said: object, most: int) -> int:
    """Return the tokens that a service says it billed; the most that these can be, where it states no number."""
    try:
        return number(said) or most
    except Garbled:
        return most


def job_of(address: Address, ended: Any) -> Job:
    """Return what an ended job made; raise `UserError` where that is nothing."""
    name = ended.fine_tuned_model
    if ended.status != "succeeded" or not isinstance(name, str):
        why = without_key(address, str(getattr(ended.error, "message", None) or "no reason is given"))
        raise UserError(
            f"the fine-tuning job {ended.id} of {address.host} {ended.status} ({why}): change the rows or the recipe."
        )
    check_key(address, name.encode())
    return Job(name, ended.id, tokens_billed(ended.trained_tokens, 0))
