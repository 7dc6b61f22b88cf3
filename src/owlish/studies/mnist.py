"""The paper's MNIST experiment at its own setting (arXiv 2507.14805, section 6); `--data` names MNIST's folder."""

from dataclasses import replace

from owlish.mlp.ensemble import Shape
from owlish.mlp.images import Mnist
from owlish.mlp.nodes import Optimiser, Stage, Students, Teachers
from owlish.mlp.noise import Noise
from owlish.mlp.study import Distillation

ADAM = Optimiser("adam", lr=3e-4, batch=1024)
EPOCHS = 5 * 59  # steps: 60,000 images in batches of 1,024

students = Students(
    Teachers(Mnist(), Shape(), ADAM, steps=EPOCHS, models=8, seed=0),
    noise=Noise(pool=60_000),
    optimiser=ADAM,
    stages=(Stage("auxiliary", EPOCHS),),
    seed=0,
)
study = Distillation(
    name="mnist",
    title="Do students learn MNIST from noise?",
    students=students,
    others=(("all", "on all logits", replace(students, stages=(Stage("all", EPOCHS),))),),
)
