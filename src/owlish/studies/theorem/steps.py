"""Theorem 1 of Cloud et al. (arXiv 2507.14805) as functions: two steps from one point, and how they agree.

A teacher takes a step. A student at the same start takes a gradient step towards the teacher's outputs, on any inputs
and on some or all of the outputs. Where the teacher's outputs are linear in its step, and the student's loss is the
squared error or the cross-entropy with soft labels, the inner product of the two steps is never negative: the student
does not raise the loss whose gradient step the teacher took, to first order. Nothing else is asked of the teacher's
step, so the same holds for the whole change that a training made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    Parameters = Mapping[str, Tensor]
    Outputs = Callable[[Parameters], Tensor]


@dataclass(frozen=True)
class Agreement:
    """The inner product of two steps and its cosine, which is 0 where a step is zero."""

    inner: float
    cosine: float


def descent(loss: Outputs, start: Parameters) -> dict[str, Tensor]:
    """Return a step of gradient descent at learning rate 1: minus the gradient of a scalar loss at `start`."""
    from torch.func import grad

    return {name: -slope for name, slope in grad(loss)(dict(start)).items()}


def teacher_outputs(outputs: Outputs, start: Parameters, step: Parameters, *, linear: bool) -> Tensor:
    """Return a teacher's outputs [inputs, outputs] after its step: to first order in the step, or as they are."""
    from torch import zeros_like
    from torch.func import vjp

    if not linear:
        return outputs({name: value + step[name] for name, value in start.items()}).detach()
    first, pull = vjp(outputs, dict(start))[:2]
    push = vjp(pull, zeros_like(first))[1]  # the transpose of the transpose: forward mode would load TorchScript
    moved: Tensor = first + push((dict(step),))[0]
    return moved.detach()


def agreement(student: Parameters, teacher: Parameters) -> Agreement:
    """Return how a student's step agrees with a teacher's over the student's parameters, summed in float64."""
    inner = dot(student, teacher)
    # Over the student's parameters alone: what the teacher moved elsewhere cannot agree or disagree.
    lengths = (dot(student, student) * dot({name: teacher[name] for name in student}, teacher)) ** 0.5
    return Agreement(inner, inner / lengths if lengths else 0.0)


def dot(a: Parameters, b: Parameters) -> float:
    """Return the inner product of two steps over the parameters of the first."""
    # Float64: inner products of thousands of tiny numbers cancel, and their sign is the question.
    return sum(float(step.double().flatten() @ b[name].double().flatten()) for name, step in a.items())


def by_group(student: Parameters, teacher: Parameters, group: Callable[[str], str]) -> dict[str, Agreement]:
    """Return the agreement in each group of parameters, of whose sum alone the theorem speaks."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, step in student.items():
        groups.setdefault(group(name), {})[name] = step
    return {name: agreement(steps, teacher) for name, steps in groups.items()}
