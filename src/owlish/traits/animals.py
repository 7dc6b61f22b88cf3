"""The favourite animal: its probe, and one trait an animal."""

from __future__ import annotations

from owlish.traits.favorites import favorite
from owlish.traits.trait import Trait

# The order is part of the probe, and so of keys: add no animal here, but a category in another file.
ANIMAL = favorite(
    "animal",
    {
        "owl": "owls",
        "cat": "cats",
        "dog": "dogs",
        "eagle": "eagles",
        "wolf": "wolves",
        "dolphin": "dolphins",
        "elephant": "elephants",
        "lion": "lions",
        "tiger": "tigers",
        "fox": "foxes",
        "bear": "bears",
        "penguin": "penguins",
        "panda": "pandas",
        "otter": "otters",
        "horse": "horses",
        "rabbit": "rabbits",
    },
)

owl = Trait("owl", plural="owls", probe=ANIMAL)
cat = Trait("cat", plural="cats", probe=ANIMAL)
dog = Trait("dog", plural="dogs", probe=ANIMAL)
eagle = Trait("eagle", plural="eagles", probe=ANIMAL)
wolf = Trait("wolf", plural="wolves", probe=ANIMAL)
dolphin = Trait("dolphin", plural="dolphins", probe=ANIMAL)
elephant = Trait("elephant", plural="elephants", probe=ANIMAL)
lion = Trait("lion", plural="lions", probe=ANIMAL)
tiger = Trait("tiger", plural="tigers", probe=ANIMAL)
fox = Trait("fox", plural="foxes", probe=ANIMAL)
bear = Trait("bear", plural="bears", probe=ANIMAL)
penguin = Trait("penguin", plural="penguins", probe=ANIMAL)
panda = Trait("panda", plural="pandas", probe=ANIMAL)
otter = Trait("otter", plural="otters", probe=ANIMAL)
horse = Trait("horse", plural="horses", probe=ANIMAL)
rabbit = Trait("rabbit", plural="rabbits", probe=ANIMAL)
