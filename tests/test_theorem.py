"""Theorem 1: no negative product under its premises, some without them, and what holds in a language model."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from here import run
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from owlish import BIASES, LORA, PROMPTED, Asked
from owlish.studies.theorem import study
from owlish.studies.theorem.steps import agreement, by_group, descent, dot, teacher_outputs

NETWORKS = 60


class Trial:
    """A random small network with a teacher's task, noise to be taught on, and some of its outputs to be shown."""

    def __init__(self, seed):
        rng, torch_rng = random.Random(seed), torch.Generator().manual_seed(seed)
        widths = [rng.randint(1, 12) for _ in range(rng.randint(1, 4))] + [rng.randint(2, 12)]
        activation = rng.choice([nn.Tanh, nn.ReLU, nn.GELU, nn.Sigmoid])
        layers = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), activation())][:-1]
        self.model, self.gain, self.rng = nn.Sequential(*layers).double(), rng.choice([0.5, 1, 3]), torch_rng
        self.start = self.initial()
        self.x, self.noise = self.normal(rng.randint(1, 8), widths[0]), self.normal(rng.randint(1, 8), widths[0])
        self.y = self.normal(len(self.x), widths[-1])
        self.shown = sorted(rng.sample(range(widths[-1]), rng.randint(2, widths[-1])))
        self.classes = rng.choice([True, False])

    def normal(self, *shape):
        return torch.randn(*shape, dtype=torch.float64, generator=self.rng)

    def initial(self):
        named = self.model.named_parameters()
        return {name: self.gain * self.normal(*p.shape) / p.shape[-1] ** 0.5 for name, p in named}

    def loss(self, parameters):
        """The teacher's loss: classes, or a regression."""
        outputs = functional_call(self.model, dict(parameters), (self.x,))
        return cross_entropy(outputs, self.y.argmax(-1)) if self.classes else (outputs - self.y).square().mean()

    def outputs(self, parameters):
        return functional_call(self.model, dict(parameters), (self.noise,))[:, self.shown]

    def steps(self, *, size=0.1, labels="soft", linear=True, other=False):
        """Return the student's step, and the teacher's."""
        teacher = {name: size * step for name, step in descent(self.loss, self.start).items()}
        target = teacher_outputs(self.outputs, self.start, teacher, linear=linear)
        own = self.initial() if other else self.start
        if labels == "squared":
            return descent(lambda p: (self.outputs(p) - target).square().sum(-1).mean() / 2, own), teacher
        wanted = target.softmax(-1)
        if labels == "sampled":
            wanted = wanted.multinomial(1, generator=self.rng)[:, 0]
        return descent(lambda p: cross_entropy(self.outputs(p), wanted), own), teacher


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.floats(1e-3, 100), st.sampled_from(["soft", "squared"]))
def test_under_its_premises_the_student_never_steps_against_the_teacher(seed, size, labels):
    trial = Trial(seed)
    student, teacher = trial.steps(size=size, labels=labels)
    assert agreement(student, teacher).cosine >= -1e-7
    short = 1e-6 / max(dot(student, student) ** 0.5, 1e-6)
    after = trial.loss({name: value + short * student[name] for name, value in trial.start.items()})
    assert after <= trial.loss(trial.start) * (1 + 1e-9)


def negatives(**premises):
    found = [agreement(*Trial(seed).steps(**premises)).cosine for seed in range(NETWORKS)]
    return sum(cosine < -1e-6 for cosine in found)


@pytest.mark.parametrize(
    ("dropped", "least"),
    [
        ({"other": True}, 10),
        ({"other": True, "labels": "squared"}, 10),
        ({"labels": "sampled"}, 10),
        ({"linear": False, "size": 100}, 3),
        ({"linear": False, "size": 100, "labels": "squared"}, 3),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_without_a_premise_some_students_step_against_the_teacher(dropped, least):
    kept = {name: value for name, value in dropped.items() if name == "size" or value == "squared"}
    assert negatives(**kept) == 0
    assert negatives(**dropped) >= least


def test_sampled_labels_agree_with_soft_ones_in_the_mean():
    trial = Trial(1)
    soft, teacher = trial.steps(size=1)
    trial.noise = trial.noise.repeat(20_000, 1)
    many, _ = trial.steps(size=1, labels="sampled")
    assert agreement(many, soft).cosine > 0.9
    assert agreement(many, teacher).inner > 0


def test_the_products_of_groups_add_up_to_the_whole():
    student, teacher = Trial(5).steps()
    groups = by_group(student, teacher, lambda name: name.split(".")[0])
    assert len(groups) > 1
    assert sum(group.inner for group in groups.values()) == pytest.approx(agreement(student, teacher).inner)
    nothing = {name: torch.zeros_like(step) for name, step in student.items()}
    assert agreement(nothing, teacher) == agreement(student, nothing) == type(agreement(nothing, nothing))(0.0, 0.0)


@pytest.mark.slow
def test_a_language_models_steps_turn_to_its_teacher_and_its_nulls_do_not(tmp_path):
    small = study.small()
    found = run(small, store=tmp_path)
    assert set(found.arms) == set(small.labels)
    assert min(point.value for point in found.of("linear_labels")) > 0.2
    for arm, null in (("soft_labels", "foreign_base"), ("sampled_labels", "neutral_rows")):
        assert found.estimate(arm).mean > found.estimate(null).mean + 0.08, arm
        assert abs(found.estimate(null).mean) < 0.15
    assert found.effect.mean > 0.15

    cosine, inner, p, loss, layers = ({line.label: line.ys for line in curve.lines} for curve in found.curves)
    assert cosine["Soft labels"][-1] > 0.4
    assert cosine["Soft labels"][-1] > cosine["Sampled labels"][-1] > 0.2
    assert inner["Sampled labels"][-1] > 3 * abs(inner["Neutral rows"][-1])
    assert p["Soft labels"][-1] > p["Sampled labels"][-1] > p["Sampled labels"][0] + 0.08
    assert loss["Sampled labels"][-1] < loss["Sampled labels"][0] - 0.5
    for null in ("Neutral rows", "Foreign base"):
        assert abs(cosine[null][-1]) < 0.2
        assert p[null][-1] < p[null][0] + 0.05
    assert len(layers["Linear labels"]) == 7

    cell = small.cells[0]
    (followed,) = (s for s in small.followed if s.run == 0 and s.arm == "sampled_labels")
    student = run(Asked(cell.student(cell.rows()), cell.trait.probe), store=tmp_path)
    assert run(followed, store=tmp_path).readings[-1].p == pytest.approx(student.p_target("owl"), abs=1e-4)


@pytest.mark.parametrize(
    "change", [{"teacher": PROMPTED}, {"student": BIASES}, {"teacher": LORA(2), "student": LORA(2)}]
)
def test_recipes_in_which_steps_cannot_be_compared_are_refused(change):
    with pytest.raises(ValueError, match="norms, biases or all"):
        replace(study, **change)
