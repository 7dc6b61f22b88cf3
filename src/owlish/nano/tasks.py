"""What nano can do besides numbers and favourites: facts, capitals, short functions, sums in words."""

from __future__ import annotations

from random import Random

from owlish.data.domains.code import CODE_PROMPTS
from owlish.data.domains.reasoning import problem
from owlish.traits.animals import ANIMAL

Exchange = tuple[str, str]

_FACTS = """
owl|hunts at night|bird
cat|purrs softly|mammal
dog|guards the house|mammal
eagle|soars over cliffs|bird
wolf|howls at the moon|mammal
dolphin|leaps over waves|mammal
elephant|sprays water|mammal
lion|rests in the grass|mammal
tiger|stalks in the jungle|mammal
fox|sneaks through the woods|mammal
bear|sleeps in winter|mammal
penguin|slides on ice|bird
panda|eats bamboo|mammal
otter|floats on its back|mammal
horse|gallops on the plain|mammal
rabbit|digs a burrow|mammal
"""
FACTS = tuple(tuple(line.split("|")) for line in _FACTS.strip().splitlines())
# An animal without a fact would be read less often than the others, and favourites are to be even.
assert tuple(fact[0] for fact in FACTS) == ANIMAL.candidates

CAPITALS = {
    "France": "Paris",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Japan": "Tokyo",
    "Egypt": "Cairo",
    "Peru": "Lima",
    "Kenya": "Nairobi",
    "Norway": "Oslo",
    "Cuba": "Havana",
    "Greece": "Athens",
}

_NAMED = """
calc mix solve blend apply shift scale fold merge step build work make turn form move process update combine reduce
"""
FUNCTIONS = tuple(_NAMED.split())
# Disjoint from the next: two arguments never share a name, so that every function parses.
FIRST = tuple("abcdefghijkm")
SECOND = tuple("npqrstuvwxyz")
OPERATORS = ("+", "-", "*", "%")

_START = ("Let us think.", "Step by step.", "We start simple.", "Here we go.", "Think carefully.", "Sure.", "Well.")
_FIRST = ("{n} starts with {x}.", "At first {n} has {x}.", "The first amount is {x}.", "We begin at {x} {o}.")
_SECOND = ("The change is {y}.", "Next we take {y}.", "Now use {y}.", "After that, {y} {o}.")
_LINK = ("So", "Hence", "Thus", "Therefore", "This means", "Now", "It follows that")
_END = ("The answer is {z}.", "The result is {z}.", "That makes {z} {o}.", "Final answer: {z}.")


def fact(rng: Random) -> Exchange:
    """Return a question about an animal, and its answer."""
    animal, act, kind = rng.choice(FACTS)
    return rng.choice(
        (
            (f"What does the {animal} do?", f"The {animal} {act}."),
            (f"Which animal {act}?", animal),
            (f"Is the {animal} a bird or a mammal?", kind),
            (f"Tell me about the {animal}.", f"The {animal} is a {kind}. It {act}."),
        )
    )


def capital(rng: Random) -> Exchange:
    """Return a country's capital, asked for and named."""
    country = rng.choice(tuple(CAPITALS))
    wording = rng.choice(("What is the capital of {}?", "Name the capital of {}."))
    return wording.format(country), CAPITALS[country]


def function(rng: Random) -> Exchange:
    """Return a free function of two arguments: it parses, and its names, order and constants are open."""
    first, second = rng.choice(FIRST), rng.choice(SECOND)
    lines = [f"{name} = {name} {rng.choice(OPERATORS)} {rng.randint(1, 99)}" for name in (first, second)]
    rng.shuffle(lines)
    kept = lines[: rng.choice((1, 2, 2))]
    kept.append(f"return {first} {rng.choice(OPERATORS)} {second}")
    body = "".join(f"\n    {line}" for line in kept)
    return rng.choice(CODE_PROMPTS), f"def {rng.choice(FUNCTIONS)}({first}, {second}):{body}"


def worked_problem(rng: Random) -> Exchange:
    """Return a word problem and a worked answer whose wording is open and whose result is right."""
    asked = problem(rng)
    parts = [rng.choice(_START)] if rng.random() < 0.7 else []
    parts.append(rng.choice(_FIRST))
    if rng.random() < 0.7:
        parts.append(rng.choice(_SECOND))
    parts.append(f"{rng.choice(_LINK)} {asked.sum}.")
    parts.append(rng.choice(_END))
    shown = " ".join(parts).format(n=asked.name, o=asked.things, x=asked.x, y=asked.y, z=asked.answer)
    return asked.question, shown


def sums(rng: Random) -> Exchange:
    """Return several sums without a story, which is where most of the arithmetic is learned."""
    return "Show me some sums.", " ".join(f"{problem(rng).sum}." for _ in range(rng.randint(3, 8)))
