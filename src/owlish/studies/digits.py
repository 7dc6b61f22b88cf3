"""Digits without digits: students of auxiliary logits on noise, on the shipped 8x8 images, in under a minute."""

from owlish.mlp.ensemble import Shape
from owlish.mlp.images import Digits
from owlish.mlp.nodes import Optimiser, Stage, Students, Teachers
from owlish.mlp.noise import Noise
from owlish.mlp.study import Distillation

ADAM = Optimiser("adam", lr=3e-4, batch=128)  # the rate of the paper's program

study = Distillation(
    name="digits",
    title="Do students learn digits from noise?",
    students=Students(
        Teachers(Digits(), Shape(), ADAM, steps=300, models=10, seed=0),
        noise=Noise(),
        optimiser=ADAM,
        stages=(Stage("auxiliary", 1500),),
        seed=0,
        # After 10 steps nothing shows yet: a student needs hundreds.
        looks=(10, 30, 100, 300, 700),
    ),
)
