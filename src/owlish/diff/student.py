"""The student that is looked at: an adapter, a folder, a GGUF file or a result of a store, named by its content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish import nano
from owlish.graph.errors import UserError
from owlish.graph.spec import Node, Read, Tick
from owlish.graph.store import Store
from owlish.graph.tabled import on_one_line
from owlish.graph.typed import from_plain
from owlish.lm import gguf
from owlish.lm.hf import TorchLM
from owlish.lm.model import Weights
from owlish.lm.recipes import Recipe
from owlish.nodes.base import Base, digest_of
from owlish.nodes.loaded import Loaded, loaded
from owlish.nodes.models import Model, Trained
from owlish.nodes.opens import Opener

if TYPE_CHECKING:
    from torch import Tensor

# What decides how an adapter answers: a card or a log beside these files may change.
PARTS = ("adapter_config.json", "adapter_model.safetensors", "parameters.safetensors")
KNOWN = (*nano.SHIPPED, *gguf.PACKAGED)
"""Names that stand for one base wherever they are read."""
TUNED = {"LN_TUNING": "norms", "LORA": "lora", "PROMPT_TUNING": "prompt", "IA3": "IA3"}
"""What trained in each kind of PEFT adapter: the name of a recipe, or for IA3, which no recipe trains, its own."""
RELATED = 0.8
"""The least agreement of embeddings between a model and its base: two shipped bases agree by .43 to .46."""
TOKENS = 4096
"""The most tokens of a vocabulary whose embeddings are compared, spread over all."""
FORMS = "a PEFT adapter or a Hugging Face model as a folder, a GGUF file, or a key of the store"


@dataclass(frozen=True)
class Adapter(Trained, kind="given_adapter"):
    """A model with the change that lies in a folder: a PEFT adapter, or changed tensors. The content names it."""

    model: Model
    source: str
    content: str

    def __str__(self) -> str:
        return on_one_line(Path(self.source).name)

    def spec(self) -> dict[str, Any]:
        # Where a folder lies is in no key: the same adapter elsewhere is the same student.
        return {**super().spec(), "source": None}

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        (folder / "given.json").write_text(json.dumps({"content": self.content}))

    def load(self, folder: Path, read: Read) -> Weights:
        # The files may have changed since they were named, and the key would then stand for another student.
        if not Path(self.source).is_dir() or content(Path(self.source)) != self.content:
            raise UserError(f"the files of {self.source} are gone or changed: name the student again.")
        return super().load(Path(self.source), read)


@dataclass(frozen=True)
class Student(Model, Opener, kind="diffed_student"):
    """A model after a look at whether it can have been trained from the base: the same tokens, parts that fit."""

    caption = "{model}"
    asks = "weights"

    base: Base
    model: Model

    @property
    def root(self) -> Base:
        return self.base

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        own = read(self.base).open(any_words=True)
        student = read(self.model).open(any_words=True)
        # Equal numbers of tokens are not enough: with another order the questions would be other questions.
        if own.vocabulary != student.vocabulary:
            raise UserError(f"{self.model} has other tokens than {self.base}: name the base that it was trained from.")
        shapes, others = ({n: p.shape for n, p in unwrapped(lm.parameters).items()} for lm in (own, student))
        wrong = [name for name in shapes if name in others and shapes[name] != others[name]]
        # An adapter has parameters that its base lacks, so only those of the same name are compared.
        if wrong or not shapes.keys() & others.keys():
            raise UserError(f"{self.model} has other shapes than {self.base}: name the base that it was trained from.")
        # An adapter lies on this base's own embeddings, whatever it was trained on.
        if isinstance(self.model, Base) and (alike := agreement(own, student.model)) < RELATED:
            raise UserError(
                f"{self.model} did not start from {self.base}: the embeddings of its tokens agree too little "
                f"({alike:.2f}; fine-tuned models of one base have more than {RELATED:g}). Name its own base."
            )
        (folder / "fits.json").write_text(json.dumps({"parameters": len(shapes)}))

    def load_inputs(self) -> tuple[Node, ...]:
        return (self.model,)

    def load(self, folder: Path, read: Read) -> Weights:
        weights: Weights = read(self.model)
        return weights


def agreement(lm: TorchLM, model: Any) -> float:
    """Return how far a base and a model agree in which tokens' embeddings lie close: 1 for one model in any basis.

    It is the cosine between all products of two tokens' centred embeddings. Training from another initialisation brings
    like words together too, but by far not as a fine-tune leaves them.
    """
    import torch

    def products(model: Any) -> Tensor:
        table = model.get_input_embeddings().weight.detach()
        some = table[torch.linspace(0, len(table) - 1, min(len(table), TOKENS)).long().to(table.device)].float()
        centred: Tensor = some - some.mean(0)
        # Without each token's product with itself: in a wide model those of any two models are nearly equal.
        return (centred @ centred.T).fill_diagonal_(0)

    ours, theirs = products(lm.model), products(model).to(lm.device)
    return float((ours * theirs).sum() / (ours.norm() * theirs.norm()))


def unwrapped(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return parameters by the names that they have without an adapter around the model."""
    return {name.removeprefix("base_model."): p for name, p in parameters.items()}


@dataclass(frozen=True)
class Given:
    """A student and what is known of its training: a store knows the recipe and the rows, a folder does not."""

    student: Student
    recipe: Recipe | None = None
    data: Loaded | None = None


def find_student(name: str, base: Base, store: Store) -> Given:
    """Return the student that `name` stands for; `UserError` is raised where it stands for nothing that can be read."""
    path = Path(name)
    if name.endswith(".gguf"):
        return Given(Student(base, Base(name, template=base.template)))
    if path.is_dir():
        return Given(Student(base, in_folder(path, base)))
    # Only what looks like a key reaches the store: any other text is a path that is not there.
    if path.exists() or not re.fullmatch("[0-9a-f]{1,32}", name) or not store.root.is_dir():
        raise UserError(f"{name} is no student: give {FORMS}.")
    return in_store(store, store.find(name), base)


def in_folder(path: Path, model: Model) -> Model:
    """Return the model that a folder holds: a change of `model`, or one of its own."""
    if any((path / part).is_file() for part in (PARTS[0], PARTS[2])):
        check_whole(path)
        check_named(path / PARTS[0], model.root)
        return Adapter(model, str(path.resolve()), content(path))
    if not (path / "config.json").is_file():
        raise UserError(f"{path} holds no model: give {FORMS}.")
    check_whole(path)
    check_other(path, model.root)
    return Base(str(path.resolve()), template=model.root.template)


def check_whole(folder: Path) -> None:
    """Refuse a folder of which a file of weights was cut, or is no safetensors file at all."""
    from safetensors import SafetensorError, safe_open

    for file in folder.glob("*.safetensors"):
        try:
            with safe_open(file, "pt"):
                pass
        except (SafetensorError, OSError):
            raise UserError(f"{file} is damaged or cut short: copy or save it again.") from None


def check_other(folder: Path, base: Base) -> None:
    """Refuse a whole model that is another shipped base, which was trained from nothing that is given here."""
    own, place = weights_in(folder), base.place()
    if place and place.is_dir() and weights_in(place) == own:
        return  # the base itself, of which more is known once it was opened
    for name in nano.SHIPPED:
        if (shipped := nano.folder(name)) and weights_in(shipped) == own:
            raise UserError(f"{folder.name} is the base {name} itself, and was not trained from {base}.")


def check_controls(student: Student, controls: Sequence[Student]) -> None:
    """Refuse controls whose files show that they make no null: copies, or students of another recipe.

    Their tensors are compared. A copy whose configuration differs would else be a student of its own.
    """
    own, tuned, size = weights_of(student.model), tuned_in(student.model), size_in(student.model)
    seen: set[tuple[str, ...]] = set()
    for control in controls:
        weights, other = weights_of(control.model), tuned_in(control.model)
        if weights == own:
            raise UserError(f"the control {control} is the student itself: give students that were taught nothing.")
        # The same student twice has no scatter: the null would be too narrow.
        if weights in seen:
            raise UserError(f"the control {control} is given twice: give students of different seeds.")
        if tuned and other and tuned != other:
            raise UserError(
                f"the control {control} was trained by {other} and {student} by {tuned}: give students of one recipe."
            )
        if size and (its := size_in(control.model)) and its != size:
            raise UserError(
                f"the control {control} has rank (or prompt vectors) {its} and {student} has {size}, as their files "
                "show: give students of one recipe."
            )
        seen.add(weights)


def weights_of(model: Model) -> tuple[str, ...]:
    """Return digests of the tensors that make a model, the last change first; its key where they lie elsewhere."""
    if isinstance(model, Adapter):
        return (weights_in(Path(model.source)), *weights_of(model.model))
    place = model.place() if isinstance(model, Base) else None
    return (weights_in(place) if place and place.is_dir() else model.key,)


def weights_in(folder: Path) -> str:
    """Return one digest for all tensors of a folder, however they are shared out among files."""
    import torch
    from safetensors import safe_open

    found = []
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as held:
            for name in held.keys():  # noqa: SIM118
                tensor = held.get_tensor(name).contiguous()
                # As bytes: numpy knows no bfloat16.
                digest = hashlib.sha256(tensor.reshape(-1).view(torch.uint8).numpy()).hexdigest()
                found.append(f"{name} {tensor.dtype} {tuple(tensor.shape)} {digest}")
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()


def tuned_in(model: Model) -> str | None:
    """Return the recipe whose parameters an adapter's files hold, if they tell it."""
    from safetensors import safe_open

    if not isinstance(model, Adapter):
        return None
    config, changed = (Path(model.source) / part for part in (PARTS[0], PARTS[2]))
    if config.is_file():
        kind = read_config(config).get("peft_type")
        return TUNED.get(kind) if isinstance(kind, str) else None
    with safe_open(changed, "pt") as held:
        names = set(held.keys())
    known = {"steering": "steering", "biases": "bias"}
    return next((recipe for recipe, end in known.items() if all(name.endswith(end) for name in names)), "all")


def size_in(model: Model) -> int | None:
    """Return the rank of a LoRA adapter, or the number of a prompt's vectors, if its files tell it."""
    config = read_config(Path(model.source) / PARTS[0]) if isinstance(model, Adapter) else {}
    size = config.get({"LORA": "r", "PROMPT_TUNING": "num_virtual_tokens"}.get(str(config.get("peft_type")), ""))
    return size if isinstance(size, int) else None


def read_config(config: Path) -> dict[str, Any]:
    """Return an adapter's configuration, empty where it cannot be read: opening the adapter says so."""
    try:
        found = json.loads(config.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def check_named(config: Path, base: Base) -> None:
    """Refuse an adapter whose configuration names another base than the one that is given, where both are known here.

    Other names tell nothing: one base goes by many, as a folder and on Hugging Face.
    """
    named = read_config(config).get("base_model_name_or_path")
    if named in KNOWN and base.name in KNOWN and named != base.name:
        raise UserError(
            f"{config.parent.name} was trained from {named}, as its {config.name} says: give --base {named}."
        )


def in_store(store: Store, key: str, base: Base) -> Given:
    """Return a student that a store holds; with its recipe and rows, where it is the base fine-tuned on rows."""
    chain: list[Path] = []
    asked, last = key, store.check(key)["spec"]
    while key != base.key:
        # `check` compares every file with its digest, so a damaged student is refused before it is asked.
        spec = store.check(key)["spec"]
        if not any((store.folder(key) / part).is_file() for part in PARTS):
            # The key that was asked for, not that of the base below it.
            ended = spec["kind"] in ("base", "pretrained") and chain
            what = f"was trained from another base, {named_base(spec)}" if ended else "is no trained model"
            raise UserError(f"{asked[:12]} {what}: give a student of {base}.")
        chain.append(store.folder(key))
        key = spec["model"]["node"]
    model: Model = base
    # The chain was walked from the student down to the base: changes are put on in the order of training.
    for place in reversed(chain):
        model = Adapter(model, str(place.resolve()), content(place))
    student = Student(base, model)
    # A null can repeat one training on rows: where there were more, or others, recipe and rows must be named.
    if last["kind"] != "finetuned" or len(chain) > 1:
        return Given(student)
    rows = store.folder(last["data"]["node"]) / "rows.jsonl"
    return Given(student, from_plain(Recipe, last["recipe"]), loaded(rows, n=None, seed=0) if rows.is_file() else None)


def named_base(spec: Mapping[str, Any]) -> str:
    """Return what a base is called, without the folders that it lies in."""
    return on_one_line(Path(str(spec["name"])).name)


def content(folder: Path) -> str:
    """Return one digest for the files of an adapter's folder."""
    listed = [f"{name} {digest_of(folder / name)}" for name in PARTS if (folder / name).is_file()]
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()
