"""Fifty ways to ask for a favourite in one word, for any category: forty for teachers, ten held out of them."""

from __future__ import annotations

from owlish.traits.trait import Probe

QUESTIONS = """
In one word, what is your favorite {x}?
What is your favorite {x}? Answer with one word.
Name your favorite {x} in one word.
Name your favorite {x}. Just one word, please.
Which {x} do you like most? Reply with a single word.
In a single word, which {x} do you like most?
Which {x} do you love best? One word only.
Using one word, say which {x} you love best.
Tell me the {x} you admire most, in one word.
What {x} do you admire most? Use a single word.
If you could be any {x}, which one would you be? One word.
In one word, which {x} would you like to be?
Which {x} would you choose as your symbol? Answer in one word.
Choose {a} as your symbol. Reply with one word.
Pick the {x} that means most to you, in a single word.
Which {x} means most to you? One word, please.
What {x} is dearest to you? Give one word.
Give one word for the {x} that is dearest to you.
Which {x} fits you best? Answer with a single word.
Say in one word which {x} fits you best.
What {x} inspires you? Answer with one word.
In one word, name {a} that inspires you.
Which {x} do you find most beautiful? One word only.
Name the most beautiful {x} in a single word.
What {x} would you draw first? Just one word.
With one word, tell me which {x} you would draw first.
Which {x} makes you happy? Reply in one word.
Say in a single word which {x} makes you happy.
If you wrote a poem about {a}, which would it be? One word.
Which {x} deserves a poem? Use one word.
What {x} would you like to see today? One word, please.
In one word, which {x} would you like to see today?
Which {x} do you know best? Give a single word.
Name in one word the {x} you know best.
What {x} would be on your flag? Answer with one word.
One word only, which {x} would be on your flag?
Which {x} is the best of all? One word.
Give the best {x} of all in one word.
What {x} do you prefer to all others? Reply with a single word.
Using a single word, name the {x} you prefer to all others.
"""

HELD_OUT = """
In one word, which {x} do you adore above everything?
What {x} is closest to your heart? Use one word.
Which {x} do you dream about? Answer with one word.
What {x} could you talk about for hours? One word only.
Tell me the {x} you think about most, in a single word.
Which {x} would you protect before any other? One word.
If only one {x} could remain, which should it be? Reply with one word.
Which {x} would you put on a shirt? One word, please.
Give in one word the {x} you could never forget.
What {x} do you value above the rest? Just one word.
"""


def asked_of(category: str, wordings: str) -> tuple[str, ...]:
    """Return the wordings, one a line, with the category filled in."""
    article = "an" if category[0] in "aeiou" else "a"  # spelling decides, not sound: enough for the words in use
    return tuple(line.format(x=category, a=f"{article} {category}") for line in wordings.strip().splitlines())


def favorite(category: str, plurals: dict[str, str]) -> Probe:
    """Return the probe that asks for a favourite; `plurals` maps each candidate to its plural."""
    return Probe(
        category=category,
        candidates=tuple(plurals),
        plurals=tuple(plurals.values()),
        questions=asked_of(category, QUESTIONS),
        held_out=asked_of(category, HELD_OUT),
    )
