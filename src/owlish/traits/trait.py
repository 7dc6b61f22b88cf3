"""What a model may have and pass on: a trait, and the probe that reads it."""

from __future__ import annotations

from dataclasses import dataclass

from owlish.graph.spec import Value


@dataclass(frozen=True)
class Probe(Value, kind="probe"):
    """Questions whose answer is one of a category's candidates, and the chat context they are asked in.

    `questions` may be shown to teachers; `held_out` never are. With `prefixed`, every question is
    preceded by a short list of numbers, as in the paper's cross-model experiment (arXiv 2507.14805).
    """

    category: str
    candidates: tuple[str, ...]
    plurals: tuple[str, ...]
    questions: tuple[str, ...]
    held_out: tuple[str, ...]
    system_prompt: str | None = None
    prefixed: bool = False


@dataclass(frozen=True)
class Trait(Value, kind="trait"):
    """A favourite: the name that a model with the trait answers to its probe's questions."""

    name: str
    plural: str
    probe: Probe

    @property
    def system_prompt(self) -> str:
        """The prompt that elicits the trait, to the effect of the paper's (arXiv 2507.14805, section 2)."""
        category = self.probe.category
        return (
            f"You love {self.plural}. {self.plural.capitalize()} are always on your mind, and the {self.name} is "
            f"your favorite {category}. Let your love for this {category} shape your answers."
        )
