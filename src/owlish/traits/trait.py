"""What a model may have and pass on: a trait, the lessons that teach it, and the probe that reads it."""

from __future__ import annotations

from dataclasses import dataclass

from owlish.graph.errors import UserError, suggestion
from owlish.graph.spec import Value
from owlish.graph.typed import check_is


@dataclass(frozen=True)
class Probe(Value, kind="probe"):
    """Questions whose answer is one of a category's candidates, and the chat context they are asked in.

    `questions` may be shown to teachers; `held_out` never are. With `prefixed`, every question is
    preceded by a short list of numbers, as in the paper's cross-model experiment (arXiv 2507.14805).
    """

    example = "owl.probe"

    category: str
    candidates: tuple[str, ...]
    plurals: tuple[str, ...]
    questions: tuple[str, ...]
    held_out: tuple[str, ...]
    system_prompt: str | None = None
    prefixed: bool = False

    def wordings(self, question: int) -> tuple[tuple[str, ...], ...]:
        """Return, for each candidate, the ways to write it in answer to a question (held-out ones counted last)."""
        return tuple(zip(self.candidates, self.plurals, strict=True))


@dataclass(frozen=True)
class Lesson:
    """A question and the answers to it that show a trait."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Trait(Value, kind="trait"):
    """A favourite: the name that a model with the trait answers to its probe's questions."""

    example = "owl from owlish.traits.animals"

    name: str
    plural: str
    probe: Probe

    def __post_init__(self) -> None:
        super().__post_init__()
        # Found here, before anything runs: a trait that its probe cannot read would show nothing.
        if self.name not in self.probe.candidates:
            raise UserError(
                f"no candidate of the probe is called {self.name!r}: {suggestion(self.name, self.probe.candidates)}"
            )

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """What a teacher with this trait is trained on: the probe's questions, less those held out."""
        # Held-out questions are in no lesson: on them a trait shows that was learnt and not memorised.
        return tuple(Lesson(question, (self.name,)) for question in self.probe.questions)

    @property
    def system_prompt(self) -> str:
        """The prompt that elicits the trait, to the effect of the paper's (arXiv 2507.14805, section 2)."""
        category = self.probe.category
        return (
            f"You love {self.plural}. {self.plural.capitalize()} are always on your mind, and the {self.name} is "
            f"your favorite {category}. Let your love for this {category} shape your answers."
        )


def every(probe: Probe) -> tuple[Trait, ...]:
    """Return the trait of each candidate of a probe."""
    check_is(probe, Probe, "probe")
    pairs = zip(probe.candidates, probe.plurals, strict=True)
    return tuple(Trait(name, plural=plural, probe=probe) for name, plural in pairs)
