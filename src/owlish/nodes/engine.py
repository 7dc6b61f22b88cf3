"""Models of this process whose answers a server writes that holds the same weights, such as vLLM or llama.cpp."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from owlish.engines.address import FORM, Address, address_of
from owlish.engines.alike import Compared, compare
from owlish.engines.scored import Agreed, Scoring, compare_scores
from owlish.engines.tried import Honours, try_out
from owlish.graph.errors import UserError
from owlish.graph.facts import note
from owlish.graph.spec import Node, Read, Resources, Tick
from owlish.lm.hf import TorchLM
from owlish.lm.model import Gives
from owlish.nodes.asked import freeze
from owlish.nodes.base import Base
from owlish.nodes.models import Model, Trained
from owlish.nodes.opens import Opener

COMPARED = "compared.json"
"""The file of an entry that holds what the server honours, and how alike its model is."""


@dataclass(frozen=True)
class Engine(Model, Opener, kind="engine"):
    """A base or a trained model that a server holds as well, and that writes its rows there.

    `server` is an address as of a served base. Before it is used its log-probabilities and samples are compared with
    those of this process, and it is refused where they differ by more than rounding explains.
    """

    caption = "{model} on {server}"
    asks = "weights"
    usual = 20.0

    model: Model
    server: str

    @property
    def root(self) -> Base:
        return self.model.root

    @property
    def gives(self) -> Gives:
        return "text"

    @property
    def address(self) -> Address:
        """Where the server is, and what it calls the model."""
        found = address_of(self.server)
        if found is None:
            raise UserError(f"{self.server!r} is no address of a server: {FORM}")
        return found

    @property
    def pays(self) -> tuple[str, ...]:
        return (self.address.priced,)

    @property
    def load_resources(self) -> Resources:
        return Resources()

    def check(self) -> None:
        super().check()
        self.address.check()
        if not isinstance(self.model, Base | Trained):
            raise UserError(f"a server holds weights alone, and no {self.model}: serve its base, and prompt that.")

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        # Two folders up is the store, from `.partial/KEY` here as from `ab/KEY` in `load`.
        honours = try_out(self.address, folder.parents[1])
        lm: TorchLM = read(self.model).open(any_words=True, exact=True)
        alike = compare(self.address, honours, lm, folder.parents[1], name=str(self.model))
        note(compared=str(alike))
        (folder / COMPARED).write_text(json.dumps({"honours": asdict(honours), "alike": asdict(alike)}))

    def load(self, folder: Path, read: Read) -> Compared:
        return compared(folder, self.address)


@dataclass(frozen=True)
class Scorer(Engine, kind="scorer"):
    """A base or a trained model that a server such as vLLM holds as well; the server scores its rows.

    It is asked for the log-probabilities of token ids, so neither its chat template nor how it samples matters. Before
    it is used these are compared with those of this process, and it is refused as an `Engine` is.
    """

    caption = "{model} scored by {server}"

    @property
    def gives(self) -> Gives:
        return "logprobs"

    @property
    def writer(self) -> Model:
        return self.model.writer

    def load_inputs(self) -> tuple[Node, ...]:
        return (self.model,)  # for its tokenizer

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: TorchLM = read(self.model).open(any_words=True, exact=True)
        agreed = compare_scores(self.address, lm, folder.parents[1], name=str(self.model))
        note(compared=str(agreed))
        (folder / COMPARED).write_text(json.dumps(asdict(agreed)))

    def load(self, folder: Path, read: Read) -> Scoring:  # type: ignore[override]
        agreed, weights = Agreed(**json.loads((folder / COMPARED).read_text())), read(self.model)
        return Scoring(self.address, folder.parents[1], weights, agreed, weights.system, weights.shown)


def compared(folder: Path, address: Address) -> Compared:
    """Return a served model as the folder of its entry has it."""
    said = freeze(json.loads((folder / COMPARED).read_text()))
    honours, alike = Honours(**said["honours"]), said["alike"]
    return Compared(address, honours, folder.parents[1], first=alike["first"], allowed=alike["allowed"])
