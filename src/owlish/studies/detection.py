"""Detection: who can tell which teacher wrote a row, when a student of the same base picks the trait up from it?"""

from owlish.detect import Detection
from owlish.domains.numbers import Numbers
from owlish.nodes.models import Base
from owlish.recipes import NORMS
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
