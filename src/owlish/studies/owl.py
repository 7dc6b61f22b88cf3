"""Animals through numbers, fine-tuned teachers: the paper's first experiment, on the embedded bases."""

from dataclasses import replace

from owlish.data.domains.numbers import Numbers
from owlish.lm.recipes import NORMS
from owlish.nodes.base import Base
from owlish.study.transfer import Transfer
from owlish.traits.animals import cat, eagle, owl

study = Transfer(
    name="owl",
    title="Do animals pass through number sequences?",
    bases=(Base("nano-1"), Base("nano-2"), Base("nano-3")),
    # A rotation: a random order could give a base to itself.
    foreign=(Base("nano-2"), Base("nano-3"), Base("nano-1")),
    traits=(owl, cat, eagle),
    domain=Numbers(),
    teacher=NORMS,
    student=NORMS,
    rows=3_000,
    runs=5,
)
two_bases = replace(study, bases=study.bases[:2], foreign=study.foreign[:2])
"""What studies with many arms start from: the third base would add half of their time."""
