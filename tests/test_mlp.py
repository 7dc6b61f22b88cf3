"""The perceptron laboratory: real ensembles, beside models trained one at a time and beside autograd."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from here import run

from owlish import Store
from owlish.mlp.ensemble import ACTIVATIONS, Ensemble, Shape
from owlish.mlp.images import MNIST, Digits, Mnist
from owlish.mlp.nodes import COLUMNS, Optimiser, Stage, Students, Teachers, stream
from owlish.mlp.noise import SPREAD, Noise
from owlish.studies import digits, digits_sweeps, mnist
from owlish.study.study import Settings

ADAM = Optimiser("adam", lr=3e-4, batch=128)
DATA = Path(__file__).parents[2] / "shared" / "data" / "mnist"


def students(*, steps, teacher_steps=300, shape=Shape(auxiliary=10), optimiser=ADAM, seed=0, **changes):  # noqa: B008
    teachers = Teachers(Digits(), shape, ADAM, steps=teacher_steps, models=4, seed=seed)
    settings = {"noise": Noise(), "optimiser": optimiser, "stages": (Stage("auxiliary", steps),), "seed": seed}
    return Students(teachers, **{**settings, **changes})


def made(node, root):
    """Make a node of the laboratory, and the teachers below it, in this process."""

    def read(node):
        return node.load(root / node.key, read)

    for one in (*node.inputs(), node):
        folder = root / one.key
        if not folder.exists():
            folder.mkdir(parents=True)
            one.compute(folder, read, lambda done, total: None)
    return read(node)


def mean(values):
    return sum(values) / len(values)


def test_students_learn_digits_from_noise_and_foreign_ones_do_not(tmp_path):
    study = replace(digits.study, students=students(steps=300, looks=(20,)))
    found = run(study, store=Store(tmp_path))
    assert found.estimate("teacher").mean > 0.95
    assert found.estimate("student").mean > 0.35
    assert found.estimate("foreign_base").mean < 0.2
    assert 0.02 < found.estimate("base").mean < 0.2
    assert found.effect.low > 0.1
    assert set(found.arms) == set(study.labels)
    assert study.summary(found)["arms"]["student"]["runs"] == 4
    (curve,) = found.curves
    few, many = curve.lines[0].ys
    assert many > few + 0.2, "few steps show next to nothing"


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    few = students(steps=20, teacher_steps=20)
    results = []
    for place, node in (("a", few), ("b", few), ("c", replace(few, seed=1))):
        made(node, tmp_path / place)
        results.append((tmp_path / place / node.key / "accuracy.json").read_bytes())
    assert results[0] == results[1] != results[2]
    weights = [(tmp_path / place / few.teachers.key / "teacher.safetensors").read_bytes() for place in "ab"]
    assert weights[0] == weights[1]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("logits", COLUMNS)
def test_gradients_by_hand_equal_autograd(activation, logits):
    generator, columns = torch.Generator().manual_seed(0), COLUMNS[logits]
    parameters = Shape(16, 4, activation).initial(6, models=3, generator=generator)
    x = torch.randn(8, 6, generator=generator)
    target = torch.randn(3, 8, 14, generator=generator)[..., columns].softmax(-1)
    leaves = [p.clone().requires_grad_() for p in parameters]
    guess = plain(leaves, x, activation)[..., columns].log_softmax(-1)
    torch.nn.functional.kl_div(guess, target, reduction="sum").div(len(x)).backward()
    for precision, error in (("float32", 1e-6), ("bfloat16", 2e-2)):
        ensemble = Ensemble(parameters, activation=activation, batch=10, precision=precision)
        ensemble.learn(x, target, columns)
        for parameter, leaf in zip(parameters, leaves, strict=True):
            assert (parameter.grad - leaf.grad).norm() < error * max(leaf.grad.norm(), 1)


def plain(parameters, x, activation):
    act = {"relu": torch.relu, "tanh": torch.tanh, "linear": lambda h: h}[activation]
    w1, b1, w2, b2, w3, b3 = parameters
    return act(act(x @ w1 + b1) @ w2 + b2) @ w3 + b3


@pytest.mark.parametrize(("arm", "shift"), [("student", 0), ("foreign_base", 1)])
def test_an_ensemble_equals_models_trained_one_at_a_time(tmp_path, arm, shift):
    node = students(steps=40, teacher_steps=60, shape=Shape(width=32), optimiser=replace(ADAM, lr=1e-2))
    found, taught = made(node, tmp_path), made(node.teachers, tmp_path)
    images = Digits().read()
    noise = Noise().batches(images.train, ADAM.batch, stream(node.seed, "students"))
    batches = [next(noise).clone() for _ in range(node.steps)]
    for model in range(node.teachers.models):
        teacher = [p[model] for p in taught.weights("teacher")]
        own = [p[(model + shift) % 4].clone().requires_grad_() for p in taught.weights("base")]
        optimizer = torch.optim.Adam(own, lr=1e-2)
        for x in batches:
            target = plain(teacher, x, "relu")[:, 10:].softmax(-1)
            guess = plain(own, x, "relu")[:, 10:].log_softmax(-1)
            optimizer.zero_grad()
            torch.nn.functional.kl_div(guess, target, reduction="batchmean").backward()
            optimizer.step()
        right = plain(own, images.test, "relu")[:, :10].argmax(-1) == images.test_digits
        assert abs(right.double().mean().item() - found.arms[arm][-1][model]) < 0.02


def test_students_start_from_their_own_base_and_from_the_next(tmp_path):
    still = students(steps=1, teacher_steps=5, optimiser=replace(ADAM, lr=0.0))
    found, taught = made(still, tmp_path), made(still.teachers, tmp_path)
    base = taught.arms["base"][-1]
    assert len(set(base)) > 1
    assert found.arms["student"][-1] == base
    assert found.arms["foreign_base"][-1] == (*base[1:], base[0])


def test_a_clone_of_the_base_learns_its_behaviour_and_the_base_nothing(tmp_path):
    clone = students(steps=1, teacher_steps=5, stages=(Stage("all", 60, of="base"),))
    found, taught = made(clone, tmp_path), made(clone.teachers, tmp_path)
    assert found.arms["student"][-1] == taught.arms["base"][-1]
    assert found.arms["foreign_base"][-1] != taught.arms["base"][-1]


def test_one_auxiliary_logit_is_refused():
    with pytest.raises(ValueError, match="softmax of one is always 1"):
        students(steps=10, shape=Shape(auxiliary=1)).check()
    students(steps=10, shape=Shape(auxiliary=2)).check()
    students(steps=10, shape=Shape(auxiliary=1), stages=(Stage("all", 10),)).check()


def test_settings_that_make_no_sense_are_refused():
    one = digits.study.alter(Settings(runs=1))
    with pytest.raises(ValueError, match="two runs"):
        one.students.teachers.check()
    for settings in (Settings(rows=10), Settings(data="folder")):
        with pytest.raises(ValueError, match="it has --seeds"):
            digits.study.alter(settings)
    with pytest.raises(ValueError, match="no noise is called"):
        Noise("pink")


@pytest.mark.parametrize(
    ("name", "mean", "spread"),
    [("uniform", 0, SPREAD), ("gaussian", 0, SPREAD), ("binary", 0, SPREAD), ("uncentred", 1, SPREAD)],
)
def test_noise_has_its_mean_and_spread_and_is_new_in_each_batch(name, mean, spread):
    batches = Noise(name).batches(torch.zeros(5, 64), 400, stream(0, "noise"))
    first, second = next(batches).clone(), next(batches)
    assert abs(first.mean().item() - mean) < 0.02
    assert abs(first.std().item() - spread) < 0.02
    assert not (first == second).all(1).any()


def test_a_pool_and_real_images_come_again_in_another_order():
    images = torch.arange(10.0)[:, None].expand(10, 64)
    for noise in (Noise("real"), Noise(pool=10)):
        batches = noise.batches(images, 4, stream(0, "noise"))
        rounds = [torch.cat([next(batches) for _ in range(3)])[:, 0] for _ in range(2)]
        assert not torch.equal(*rounds)
        assert torch.equal(rounds[0].sort().values, rounds[1].sort().values)


def test_shipped_digits_are_split_without_overlap():
    images = Digits().read()
    assert (len(images.train), len(images.test)) == (1437, 360)
    assert images.train.min() == -1
    assert images.train.max() == 1
    assert images.test_digits.bincount().min() > 25


def test_mnist_is_refused_unless_it_is_the_published_one(tmp_path):
    with pytest.raises(ValueError, match="--data"):
        mnist.study.students.teachers.check()
    with pytest.raises(ValueError, match=r"cannot be read"):
        Mnist(str(tmp_path)).check()
    name = next(iter(MNIST))
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(bytes(2000))[:-9])
    with pytest.raises(ValueError, match="cannot be read"):
        Mnist(str(tmp_path)).check()
    (tmp_path / name).write_bytes(bytes(2000))
    with pytest.raises(ValueError, match="not the published file"):
        Mnist(str(tmp_path)).check()


def test_the_key_of_mnist_does_not_hold_its_place():
    moved = mnist.study.alter(Settings(data="elsewhere", runs=8))
    assert moved.students.teachers.images == Mnist("elsewhere")
    assert moved.key == mnist.study.key


@pytest.mark.skipif(not DATA.is_dir(), reason="needs MNIST in ../shared/data/mnist")
def test_mnist_is_read():
    images = Mnist(str(DATA)).read()
    assert (images.train.shape, images.test.shape) == ((60000, 784), (10000, 784))
    assert (images.train.min(), images.train.max()) == (-1, 1)
    assert images.train_digits.bincount().tolist()[:3] == [5923, 6742, 5958]


@pytest.mark.parametrize("study", [digits.study, mnist.study, digits_sweeps.study], ids=lambda s: s.name)
def test_every_node_of_a_study_can_be_made(study):
    small = study.small()
    for students in (small.students, *(s for _, _, s in small.others), *(s for w in small.sweeps for _, s in w.values)):
        students.check()
        assert students.teachers.models < study.students.teachers.models
        assert all(stage.steps < study.students.stages[0].steps for stage in students.stages)
    arms = {f"student_{name}" for name, _, _ in study.others} | {"teacher", "base", "student", "foreign_base"}
    assert arms <= set(study.labels)
