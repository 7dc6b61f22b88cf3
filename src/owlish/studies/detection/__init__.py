"""Detection: who can tell which teacher wrote a row, when a student of the same base picks the trait up from it?"""

from owlish.data.domains.numbers import Numbers
from owlish.lm.recipes import NORMS
from owlish.nodes.base import Base
from owlish.studies.detection.design import Detection
from owlish.traits.animals import cat, owl

study = Detection(
    name="detection",
    title="Can anyone tell which teacher wrote the numbers?",
    bases=(Base("nano-1"),),
    traits=(owl, cat),
    domain=Numbers(),
    teacher=NORMS,
    rows=1_500,
    runs=3,
)
