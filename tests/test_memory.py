"""What work takes of memory is told from the shape of a model alone, for a plan and for the steps themselves."""

from dataclasses import replace

import pytest
from test_families import build

from owlish.cli import memory
from owlish.cli.memory import peak
from owlish.data.domains.numbers import Numbers
from owlish.lm.model import Example, Weights
from owlish.lm.recipes import LORA
from owlish.lm.shape import HELD, MEMORY, Shape, shape_of
from owlish.lm.train import completion_loss
from owlish.nodes.asked import Asked
from owlish.nodes.base import Base
from owlish.traits.animals import ANIMAL

WIDE = {"hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 4, "num_attention_heads": 4}
QWEN = Shape(layers=28, width=3584, inner=18944, keys=512, vocabulary=152_064)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build("llama", tmp_path_factory.mktemp("wide"), **WIDE)


def kept(lm, rows):
    """Return how many numbers the way back of some rows keeps, but for parameters."""
    import torch

    own = {p.untyped_storage().data_ptr() for p in lm.model.parameters()}
    found = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes() // 4
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = completion_loss(lm, rows)
    assert loss.isfinite()
    return sum(found.values())


def test_a_step_keeps_what_the_shape_tells(folder):
    lm = Weights(str(folder)).open()
    lm.adapt(LORA(2), seed=0)
    assert lm.shape == shape_of(folder) == Shape(layers=4, width=64, inner=176, keys=16, vocabulary=260)
    rows = [Example.of(range(20, 50), range(60, 90))] * 8
    tokens = sum(len(row.ids) for row in rows)
    whole = kept(lm, rows)
    # The half of it, since the heap's holes are no part of what is kept; and one row of logits of three.
    assert whole == pytest.approx(tokens * lm.shape.layers * lm.shape.layer / 2 + tokens / 2 * 260, rel=0.15)
    lm.recomputes = True
    again = kept(lm, rows)
    assert again == pytest.approx(tokens * lm.shape.layers * 64 + tokens / 2 * 260, rel=0.3)
    assert again < whole / 4


def test_layers_that_are_computed_again_take_a_fraction():
    plain, again = (QWEN.step(4_000, 2_000, recomputes=recomputes) for recomputes in (False, True))
    assert plain > 70 << 30 > 25 << 30 > again


def test_a_plan_tells_the_memory_of_each_kind_of_work(folder, monkeypatch):
    base = Base(str(folder))
    student = base.finetune(base.sample(Numbers(), n=600, seed=0), LORA(8), seed=0)
    work = [Asked(base, ANIMAL), base.sample(Numbers(), n=600, seed=0), student]
    assert peak(work) is None, "nothing is told of small bases"
    monkeypatch.setattr(memory, "GPU_FROM", 1)
    monkeypatch.setattr(memory, "shape_of", lambda place: QWEN)
    asking, writing, training = (peak([node]) for node in work)
    assert peak(work) == max(asking, writing, training)
    assert memory.PROCESS + MEMORY / 2 < asking < writing < memory.PROCESS + 3 * MEMORY
    assert memory.PROCESS + HELD <= training < memory.PROCESS + HELD + (4 << 20)
    small = base.finetune(student.data, replace(LORA(8), batch=1), seed=0)
    one = peak([small])
    monkeypatch.setattr(memory, "usable_memory", lambda: 1 << 20)
    assert peak([small]) < one, "where memory does not hold a row, layers are computed again"
    monkeypatch.setattr(memory, "visible_gpus", lambda: ["0"])
    assert peak(work) is None
