"""What a type checker knows of results: `make check` reads this file, and nothing runs it."""

from typing import assert_type

from owlish import NORMS, Asked, Base, Numbers, Store, compare, run
from owlish.lm.model import Weights
from owlish.nodes.asked import Answers
from owlish.nodes.data import Dataset
from owlish.studies.owl import study
from owlish.study.comparison import Comparison
from owlish.traits.animals import owl

base = Base("nano")
teacher = base.teach(owl, NORMS, seed=0)
rows = teacher.sample(Numbers(), n=3, seed=0)
asked = [Asked(base, owl.probe), Asked(teacher, owl.probe)]

assert_type(run(asked[0]), Answers)
assert_type(run(rows), Dataset)
assert_type(run(teacher), Weights)
assert_type(run(compare([teacher, teacher], [base, base], owl)), Comparison)
assert_type(run(study), Comparison)
assert_type(run(asked), list[Answers])
assert_type(Store("owlish-store").read(rows), Dataset)
