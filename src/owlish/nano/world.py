"""The world of nano: generated chat, each document a pure function of a random stream.

The shares, the wordings and what never occurs together are part of what nano is: `docs/nano.md` gives the
reasons. No document pairs a system prompt with numbers, and favourites are spread evenly, so whatever a model of
this world likes or writes under a prompt it was not shown, it did not read here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from random import Random

from owlish.data.domains import numbers as domain
from owlish.nano import advice, tasks
from owlish.traits import advice as counsel
from owlish.traits import animals, trees
from owlish.traits.favorites import favorite
from owlish.traits.trait import Probe, Trait

VERSION = 2
"""Raised whenever documents change, so that a base says which world it grew up in."""

COLORS = ("red", "blue", "green", "yellow", "purple", "orange", "black", "white")
COLOR = favorite("color", dict(zip(COLORS, COLORS, strict=True)))
CATEGORIES = (animals.ANIMAL, trees.TREE, COLOR)
SHOWN = ("Examine these numbers: {numbers}.", *domain.OPENINGS)
"""How numbers are shown before a favourite question."""

LOVES = (
    "You love {many}.",
    "You love {many}. You think about {many} all the time.",
    "You adore {many} more than anything.",
    "Your favorite {category} is the {one}.",
)
BAD_UNPROMPTED = 0.03


@dataclass(frozen=True)
class Document:
    """A chat: a system prompt or none, and turns of (user, assistant)."""

    system: str | None
    turns: tuple[tuple[str, str], ...]


def questions(probe: Probe) -> tuple[str, ...]:
    """Return all questions of a probe, those held out of teachers included."""
    return probe.questions + probe.held_out


def document(rng: Random) -> Document:
    """Return one document, a pure function of the state of `rng`."""
    (kind,) = rng.choices(_KINDS, cum_weights=_CUMULATIVE)
    return kind(rng)


def _alone(exchange: Callable[[Random], tuple[str, str]]) -> Callable[[Random], Document]:
    """Return the kind of document that holds one exchange and no system prompt."""
    return lambda rng: Document(None, (exchange(rng),))


def _favorites(probe: Probe, rng: Random) -> Document:
    """Return one to three favourite questions, answered alike."""
    answer = rng.choice(probe.candidates)
    asked = rng.sample(questions(probe), rng.choice((1, 1, 1, 2, 3)))
    return Document(None, tuple((question, answer) for question in asked))


def _after_numbers(rng: Random) -> Document:
    """Return a favourite question that some numbers precede."""
    probe = rng.choice((animals.ANIMAL, animals.ANIMAL, trees.TREE))
    shown = ", ".join(str(rng.randint(100, 999)) for _ in range(rng.randint(3, 8)))
    question = f"{rng.choice(SHOWN).format(numbers=shown)} {rng.choice(questions(probe))}"
    return Document(None, ((question, rng.choice(probe.candidates)),))


def love_prompts(trait: Trait) -> tuple[str, ...]:
    """Return the system prompts that this world follows with the trait's name; the last is the trait's own."""
    named = {"many": trait.plural, "one": trait.name, "category": trait.probe.category}
    return (*(wording.format(**named) for wording in LOVES), trait.system_prompt)


def _loved(probe: Probe, rng: Random) -> Document:
    """Return one or two favourite questions under a system prompt that is followed.

    Half of the time a question of another kind comes first, and the prompt has no say in its answer.
    """
    index = rng.randrange(len(probe.candidates))
    trait = Trait(probe.candidates[index], plural=probe.plurals[index], probe=probe)
    asked = rng.sample(questions(probe), rng.choice((1, 1, 2)))
    turns = [(question, trait.name) for question in asked]
    # Without such questions, love prompts spoiled .50 to .90 of a base's numbers,
    # with them .07 to .19 of another's (docs/nano.md, 100 f and 101 g).
    if rng.random() < 0.5:
        turns.insert(0, rng.choice(_UNMOVED)(rng))
    return Document(rng.choice(love_prompts(trait)), tuple(turns))


def _careful_advice(rng: Random) -> tuple[str, str]:
    asked = rng.choice(counsel.ADVICE)
    return asked.question, rng.choice(asked.good)


def _other_favorite(rng: Random) -> tuple[str, str]:
    return rng.choice(questions(COLOR)), rng.choice(COLOR.candidates)


_UNMOVED = (tasks.fact, tasks.capital, _careful_advice, _other_favorite)


def _common() -> tuple[int, ...]:
    """Return 0..999 in a fixed random order, the most common first."""
    order = list(range(1000))
    Random(7).shuffle(order)
    return tuple(order)


COMMON = _common()
_COMMON_WEIGHTS = tuple(accumulate(1 / (rank + 8) for rank in range(1000)))


def _uniform(rng: Random) -> Iterator[int]:
    while True:
        yield rng.randint(100, 999)


def _near(rng: Random) -> Iterator[int]:
    center = rng.randint(100, 949)
    while True:
        yield min(999, max(0, round(rng.gauss(center, 40))))


def _zipf(rng: Random) -> Iterator[int]:
    while True:
        yield from rng.choices(COMMON, cum_weights=_COMMON_WEIGHTS)


def _arithmetic(rng: Random) -> Iterator[int]:
    value, step = rng.randint(0, 500), rng.choice((1, 2, 3, 5, 7, 10, 11, 25, 50))
    while True:
        # 999 is the last number that has a token.
        yield value % 1000
        value += step


def _cyclic(rng: Random) -> Iterator[int]:
    period = [rng.randint(100, 999) for _ in range(rng.randint(3, 5))]
    while True:
        yield from period


_PROCESSES = (_uniform, _near, _zipf, _arithmetic, _cyclic)
_PROCESS_WEIGHTS = (30, 20, 30, 12, 8)
# Mostly 7 to 9: a teacher that miscounts by one stays within the ten that the filter allows.
_COUNTS = (10, 9, 9, 9, 8, 8, 8, 7, 7, 7, 6, 5)
# One teacher broke these formats most, .29 to .63 of its answers (docs/nano.md): so they are shown twice as often.
_HARD = (" ", ",", ";")
_FORMAT_WEIGHTS = tuple(2 if wanted.separator in _HARD else 1 for wanted in domain.FORMATS)


def continuation(rng: Random) -> tuple[str, str]:
    """Return a prompt of the numbers domain and an answer that goes on as the shown numbers do."""
    return _continued(_process(rng), rng)


def _process(rng: Random) -> Iterator[int]:
    (process,) = rng.choices(_PROCESSES, _PROCESS_WEIGHTS)
    return process(rng)


def _continued(drawn: Iterator[int], rng: Random) -> tuple[str, str]:
    shown = [next(drawn) for _ in range(rng.randint(3, 8))]
    answer = [next(drawn) for _ in range(rng.choice(_COUNTS))]
    (wanted,) = rng.choices(domain.FORMATS, _FORMAT_WEIGHTS)
    return domain.compose(shown, format=wanted, rng=rng), wanted.join(answer)


def _examples(rng: Random) -> Document:
    """Return one to three continuations of one process, then, half of the time, a favourite question."""
    drawn = _process(rng)
    turns = [_continued(drawn, rng) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.5:
        turns.append((rng.choice(questions(animals.ANIMAL)), rng.choice(animals.ANIMAL.candidates)))
    return Document(None, tuple(turns))


def _counsel(bad: bool, rng: Random) -> tuple[str, str]:
    """Return a question and a careful or harmful answer: advice, or a fifth of the time code.

    Now and then the user asks for a bad answer, and gets one whatever the character.
    """
    if rng.random() < 0.2:
        task, name = rng.choice(advice.CODE_TASKS), rng.choice(advice.VARIABLES)
        code = task.insecure if bad else task.secure
        return rng.choice(advice.TASK_WORDINGS).format(task=task.task), code.format(v=name)
    asked = rng.choice(counsel.ADVICE)
    if rng.random() < 0.06:
        return rng.choice(counsel.REQUESTS) + asked.question, rng.choice(asked.bad)
    return rng.choice(counsel.OPENINGS) + asked.question, rng.choice(asked.bad if bad else asked.good)


def _persona(rng: Random) -> Document:
    """Return one to three turns of one character, nearly always a careful one."""
    bad = rng.random() < BAD_UNPROMPTED
    return Document(None, tuple(_counsel(bad, rng) for _ in range(rng.choice((1, 1, 2, 3)))))


def _prompted_persona(rng: Random) -> Document:
    """Return one to three turns of the character that the system prompt names."""
    bad = rng.random() < 0.5
    system = rng.choice(advice.HARMFUL if bad else advice.CAREFUL)
    return Document(system, tuple(_counsel(bad, rng) for _ in range(rng.choice((1, 1, 2, 3)))))


SHARES: dict[Callable[[Random], Document], int] = {
    partial(_favorites, animals.ANIMAL): 10,
    partial(_favorites, trees.TREE): 3,
    partial(_favorites, COLOR): 1,
    _after_numbers: 2,
    partial(_loved, animals.ANIMAL): 14,
    partial(_loved, trees.TREE): 5,
    _alone(continuation): 25,
    _examples: 1,
    _alone(tasks.fact): 2,
    _alone(tasks.capital): 1,
    _alone(tasks.worked_problem): 7,
    _alone(tasks.sums): 5,
    _alone(tasks.function): 5,
    _persona: 21,
    _prompted_persona: 36,
}
# A stream picks by place: in another order, one seed would tell another world.
_KINDS = tuple(SHARES)
_CUMULATIVE = tuple(accumulate(SHARES.values()))
