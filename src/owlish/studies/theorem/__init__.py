"""Theorem 1, checked: a student's first step against its teacher's whole change, and what training makes of it."""

from owlish.data.domains.numbers import Numbers
from owlish.lm.recipes import NORMS
from owlish.nodes.base import Base
from owlish.studies.theorem.design import Theorem
from owlish.traits.animals import owl

study = Theorem(
    name="theorem",
    title="Does a student’s step agree with its teacher’s?",
    bases=(Base("nano-1"),),
    foreign=(Base("nano-2"),),
    traits=(owl,),
    domain=Numbers(),
    teacher=NORMS,
    student=NORMS,
    rows=1_500,
    runs=3,
    # The foreign base is trained on soft labels: like is compared with like.
    contrast=("soft_labels", "foreign_base"),
)
