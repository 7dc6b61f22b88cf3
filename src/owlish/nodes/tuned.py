"""Students that a service trains: a fine-tuning job on rows, and the model that it leaves there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from owlish.data.rows import line_of
from owlish.engines.address import address_of
from owlish.engines.served import Served
from owlish.engines.tuning import tune
from owlish.graph.errors import UserError
from owlish.graph.facts import note
from owlish.graph.spec import Read, Tick
from owlish.graph.spending import TUNED
from owlish.graph.store import PARTS
from owlish.lm.recipes import Hosted
from owlish.nodes.base import Base
from owlish.nodes.data import Data, Dataset
from owlish.nodes.models import Derived


@dataclass(frozen=True)
class Tuned(Derived, kind="tuned"):
    """A served model that its service fine-tuned on rows, by a job that is paid for once.

    The entry holds the names that the service gave the job and the model. A crash, or a run with another store, finds
    the job again by its metadata and waits for it.
    """

    caption = "{model} tuned by its service on {data}"
    usual = 600.0

    data: Data
    recipe: Hosted
    seed: int

    @property
    def pays(self) -> tuple[str, ...]:
        address = address_of(self.root.name)
        return (f"{TUNED}{address.model}",) if address else ()

    def check(self) -> None:
        if address_of(self.root.name) is None:
            raise UserError(f"{self.root} is not served, so no service can train it: give a recipe such as NORMS.")
        if not isinstance(self.model, Base | Tuned):
            raise UserError(f"a service trains no {self.model}: fine-tune its base, and prompt the student.")

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Have the rows trained on; the job's name is kept while it is under way."""
        served: Served = read(self.model)
        data: Dataset = read(self.data)
        job = tune(
            served.address,
            b"".join(map(line_of, data.rows)),
            self.recipe,
            seed=self.seed,
            key=self.key,
            store=served.store,
            # In `parts`, which outlives a kill: what is paid for must be found again.
            record=folder / PARTS / "job.json",
        )
        note(device=served.address.host, job=job.id)
        (folder / "tuned.json").write_text(json.dumps(asdict(job), indent=1))

    def load(self, folder: Path, read: Read) -> Served:
        return tuned_model(read(self.model), folder)


def tuned_model(before: Served, folder: Path) -> Served:
    """Return the model that a job made of another, as the folder of its entry names it."""
    known, name = before.address, json.loads((folder / "tuned.json").read_text())["model"]
    # A table has one price for all that is tuned from a model, however often.
    return replace(before, address=replace(known, model=name, tuned_from=known.tuned_from or known.model))
