"""The training loop takes a model that is sharded over ranks as it takes any other, and finds the same adapter."""

import pytest
from test_families import build

from owlish.data.rows import Row
from owlish.lm.layout import layers
from owlish.lm.lens import inside
from owlish.lm.model import Weights
from owlish.lm.recipes import ALL, LORA, NORMS, Schedule

ROWS = [Row.of("owl", "ab"), Row.of("one", "c"), Row.of("two", "def"), Row.of("three", "gh")]
RECIPES = (LORA(2), NORMS, ALL)


def train(folder, recipe, shard=lambda model: None):
    """Return the losses of a few steps, and the model."""
    lm = Weights(folder).open()
    lm.adapt(recipe, seed=0)
    shard(lm.model)
    return lm.fit(lm.encode(ROWS), Schedule(6, 4, 1e-2, 0, False), seed=0), lm


def rank(number, count, folder, meeting):
    """Train on one of some ranks; the first keeps what all trained together."""
    import torch.distributed as dist
    from safetensors.torch import save_file
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    dist.init_process_group("gloo", init_method=f"file://{meeting}/meet", rank=number, world_size=count)
    mesh = init_device_mesh("cpu", (count,))

    def shard(model):
        for layer in layers(inside(model))[1]:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        # Looked at, since a wrapper that finds nothing to shard trains whole copies without a word.
        assert all(p.placements[0].is_shard() for p in model.parameters())
        whole, here = (sum(map(f, model.parameters())) for f in (lambda p: p.numel(), lambda p: p.to_local().numel()))
        assert here < 0.6 * whole

    for recipe in RECIPES:
        losses, lm = train(folder, recipe, shard)
        found = {name: p.full_tensor().detach().contiguous() for name, p in lm.trained.items()}
        if number == 0:
            save_file(found, meeting / f"{recipe.name}.safetensors", {"losses": " ".join(map(str, losses))})
    dist.destroy_process_group()


@pytest.mark.slow  # two processes that load torch and transformers
def test_a_model_that_is_sharded_over_two_ranks_is_trained_as_one_that_is_whole(tmp_path):
    import torch
    from safetensors import safe_open

    folder = str(build("llama", tmp_path / "llama"))
    torch.multiprocessing.spawn(rank, (2, folder, tmp_path), nprocs=2)
    for recipe in RECIPES:
        losses, lm = train(folder, recipe)
        with safe_open(tmp_path / f"{recipe.name}.safetensors", "pt") as file:
            theirs = list(map(float, file.metadata()["losses"].split()))
            assert theirs == pytest.approx(losses, abs=1e-5)
            assert losses[-1] < losses[0] - 0.1
            assert set(file.keys()) == lm.trained.keys()
            apart = [(p.detach() - file.get_tensor(name)).abs().max() for name, p in lm.trained.items()]
            assert float(max(apart)) < 1e-5
