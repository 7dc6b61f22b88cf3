"""What the transfer of digits depends on: logits, images, width, activation, optimiser, steps, one at a time."""

from dataclasses import replace

from owlish.mlp.ensemble import Shape
from owlish.mlp.nodes import Optimiser, Stage, Students
from owlish.mlp.noise import Noise
from owlish.mlp.study import Distillation, Sweep
from owlish.studies import digits

STEPS = 700  # fewer than the study's 1,500, as there are twenty variants

students = replace(
    digits.study.students,
    teachers=replace(digits.study.students.teachers, models=5),
    stages=(Stage("auxiliary", STEPS),),
    looks=(10, 30, 100, 300),
)


def shaped(shape: Shape) -> Students:
    """Return students of another shape."""
    return replace(students, teachers=replace(students.teachers, shape=shape))


study = Distillation(
    name="digits_sweeps",
    title="What does learning digits from noise depend on?",
    students=students,
    others=(
        ("gaussian", "on Gaussian noise", replace(students, noise=Noise("gaussian"))),
        ("binary", "on binary noise", replace(students, noise=Noise("binary"))),
        # Noise of any shape works as long as it is centred.
        ("uncentred", "on uniform noise from 0 to 2", replace(students, noise=Noise("uncentred"))),
        ("pool", "on 128 noise images drawn once", replace(students, noise=Noise(pool=128))),
        ("real", "on real images", replace(students, noise=Noise("real"))),
        ("tanh", "with tanh", shaped(Shape(activation="tanh"))),
        ("linear", "without an activation", shaped(Shape(activation="linear"))),
        ("sgd", "with SGD at rate 1", replace(students, optimiser=Optimiser("sgd", lr=1.0, batch=128))),
        # No evidence of its own: a student of another initialisation learns all logits as well (.94).
        ("all", "on all logits", replace(students, stages=(Stage("all", STEPS),))),
        (
            "cloned",
            "after learning the base’s own logits",
            replace(students, stages=(Stage("all", STEPS, of="base"), Stage("auxiliary", STEPS))),
        ),
    ),
    sweeps=(
        Sweep(
            # From 2 on: one logit alone has a softmax of 1, and nothing to learn from.
            "Auxiliary logits",
            "auxiliary logits",
            tuple((n, shaped(Shape(auxiliary=n))) for n in (2, 3, 5, 10, 20)),
        ),
        Sweep("Width", "units in a hidden layer", tuple((n, shaped(Shape(width=n))) for n in (32, 64, 128, 256, 512))),
    ),
)
