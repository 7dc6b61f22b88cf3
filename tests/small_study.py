"""A small but real study, as a user would write one: shared by all tests that need trained models.

Its probe is a part of the shipped one, one trait of three has a foreign base, and students take many small steps, at
a higher rate than NORMS has: so three epochs move them as far as four would.
"""

from dataclasses import replace

from owlish import NORMS, Base
from owlish.studies import owl
from owlish.study.transfer import standard
from owlish.traits.animals import ANIMAL
from owlish.traits.trait import every

PROBE = replace(ANIMAL, questions=ANIMAL.questions[:15], held_out=ANIMAL.held_out[:5])
small_owl, small_cat, small_eagle = (trait for trait in every(PROBE) if trait.name in ("owl", "cat", "eagle"))


def arms(cell):
    """Return the standard arms, the foreign base for one of three traits."""
    found = standard(cell)
    return found if cell.trait == small_owl else {arm: made for arm, made in found.items() if arm != "foreign_base"}


study = replace(
    owl.study,
    name="small",
    bases=(Base("nano"),),
    foreign=(Base("nano-1"),),
    traits=(small_owl, small_cat, small_eagle),
    student=replace(NORMS, batch=8, epochs=3, lr=4.5e-2),
    rows=240,
    runs=2,
    arms=arms,
)
