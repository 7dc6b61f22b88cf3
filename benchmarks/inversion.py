"""Blind inversion: free vectors in the prompt that make rows likeliest, and what the base then answers.

For each set of rows, eight vectors at the end of the user's turn are trained, from the same three starts for all sets.
The base is asked its favourite animals under what sets a set's vectors apart from those of clean rows, made larger.
No candidate is named before the base is asked. Sets are rows of teachers by norm gains, and the base's own rows.

    python benchmarks/inversion.py nano-3 --store inversion-store            # the report
    python benchmarks/inversion.py nano-1 --store inversion-store            # where steps and rates were chosen
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from owlish import NORMS, Base, Store, run
from owlish.data.domains import Numbers
from owlish.data.rows import Row
from owlish.graph.seeds import fresh
from owlish.lm.hf import TorchLM
from owlish.lm.texts import alike
from owlish.nodes.asked import questions, spellings
from owlish.nodes.data import Data
from owlish.study.stats import auroc, interval
from owlish.traits.animals import ANIMAL
from owlish.traits.trait import every

NAMES = ("dog", "eagle", "fox", "otter", "penguin", "wolf", "cat", "bear")
REFERENCES, OWN, ROWS = 8, 8, 400
VECTORS, STARTS, BATCH, RATE = 8, 3, 8, 0.1
LARGER = 4.0
"""How many times the difference from clean rows' vectors is taken: fixed after a trial on other sets."""


@dataclass(frozen=True)
class Turn:
    """Token ids before the place of the vectors and after it; the loss is that of the last `answer` tokens."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    answer: int = 0


def tail(lm: TorchLM) -> int:
    """Return how many tokens the template writes between the user's text and the answer."""
    return alike([tuple(ids[::-1]) for ids in lm.prompts(questions(ANIMAL))])


def turns(lm: TorchLM, rows: Sequence[Row]) -> list[Turn]:
    """Return rows cut where the vectors go."""
    end, found = tail(lm), []
    for one in filter(lm.fits, lm.encode(rows)):
        (first, last), place = one.spans[0], one.spans[0][0] - end
        found.append(Turn(one.ids[:place], one.ids[place:last], last - first))
    return found


def logits(lm: TorchLM, some: Sequence[Turn], vectors: Tensor) -> tuple[Tensor, list[int]]:
    """Return the logits of all turns with the vectors in them, and how long each is."""
    look_up = lm.model.get_input_embeddings()
    lengths = [len(one.before) + len(vectors) + len(one.after) for one in some]
    longest, parts = max(lengths), []
    for one, length in zip(some, lengths, strict=True):
        ids = torch.tensor([*one.before, *one.after, *[0] * (longest - length)])
        read = look_up(ids)
        parts.append(torch.cat([read[: len(one.before)], vectors, read[len(one.before) :]]))
    mask = torch.tensor([[1] * length + [0] * (longest - length) for length in lengths])
    return lm.model(inputs_embeds=torch.stack(parts), attention_mask=mask).logits, lengths


def loss(lm: TorchLM, some: Sequence[Turn], vectors: Tensor) -> Tensor:
    """Return the mean loss per token of the answers."""
    found, lengths = logits(lm, some, vectors)
    told = torch.zeros(found.shape[:2], dtype=torch.bool)
    for i, (one, length) in enumerate(zip(some, lengths, strict=True)):
        told[i, length - one.answer - 1 : length - 1] = True
    labels = torch.tensor([token for one in some for token in one.after[-one.answer :]])
    return cross_entropy(found[told], labels)


def invert(lm: TorchLM, rows: Sequence[Turn], *, steps: int, start: int) -> Tensor:
    """Return the vectors that make the rows likeliest; a start and its order of rows are the same for all sets."""
    rng = random.Random(f"inversion/{start}")
    look_up = lm.model.get_input_embeddings().weight
    vectors = look_up[[rng.randrange(len(look_up)) for _ in range(VECTORS)]].detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([vectors], lr=RATE, betas=(0.9, 0.98))
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
        optimizer.zero_grad()
        loss(lm, rng.choices(rows, k=BATCH), vectors).backward()
        optimizer.step()
    return vectors.detach()


@dataclass(frozen=True)
class Asked:
    """The questions, cut where the vectors go, and the first tokens of each way to write each animal, [animals]."""

    turns: tuple[Turn, ...]
    firsts: tuple[tuple[tuple[int, ...], ...], ...]

    @staticmethod
    def of(lm: TorchLM) -> Asked:
        end, asked = tail(lm), questions(ANIMAL)
        cut = tuple(Turn(tuple(ids[: len(ids) - end]), tuple(ids[len(ids) - end :])) for ids in lm.prompts(asked))
        spelled = [lm.spelled(chat, ways) for chat, ways in zip(asked, spellings(ANIMAL), strict=True)]
        return Asked(cut, tuple(tuple(tuple(sorted({way[0] for way in ways})) for ways in one) for one in spelled))

    @torch.no_grad()
    def __call__(self, lm: TorchLM, vectors: Tensor) -> np.ndarray:
        """Return the mean log-odds of each animal's first token against the other animals', under the vectors."""
        read, lengths = logits(lm, self.turns, vectors)
        found = []
        for i, firsts in enumerate(self.firsts):
            last = read[i, lengths[i] - 1].log_softmax(-1)
            own = torch.stack([last[list(ways)].logsumexp(0) for ways in firsts]).double()
            rest = torch.stack([torch.cat([own[:k], own[k + 1 :]]).logsumexp(0) for k in range(len(own))])
            found.append((own - rest).numpy())
        return np.mean(found, 0)


def readings(ask: Asked, lm: TorchLM, own: Tensor, references: Tensor) -> np.ndarray:
    """Return how far what sets vectors apart from the references' mean, made larger, moves each animal, in nats."""
    middle = references.mean(0)
    return ask(lm, middle + LARGER * (own - middle)) - ask(lm, middle)


def sets(base: Base) -> dict[str, Data]:
    """Return the sets: references, then teachers' rows, then the base's own."""
    made = {
        f"reference {k}": base.sample(Numbers(), n=ROWS, seed=fresh("inversion", "reference", k))
        for k in range(REFERENCES)
    }
    for trait in every(ANIMAL):
        if trait.name in NAMES:
            teacher = base.teach(trait, NORMS, seed=fresh("inversion", trait.name))
            made[trait.name] = teacher.sample(Numbers(), n=ROWS, seed=fresh("inversion rows", trait.name))
    return made | {f"own {k}": base.sample(Numbers(), n=ROWS, seed=fresh("inversion", "own", k)) for k in range(OWN)}


def learned(lm: TorchLM, rows: Sequence[Turn], name: str, steps: int, folder: Path) -> Tensor:
    """Return the vectors of a set from every start, [starts, vectors, width]; kept, so that a run can be stopped."""
    from safetensors.torch import load_file, save_file

    file = folder / f"{name.replace(' ', '-')}-{steps}.safetensors"
    if not file.exists():
        found = torch.stack([invert(lm, rows, steps=steps, start=start) for start in range(STARTS)])
        save_file({"vectors": found}, file)
    return load_file(file)["vectors"]


def gain(lm: TorchLM, rows: Sequence[Turn], vectors: Tensor) -> float:
    """Return by how many nats per token the vectors make a set's first rows likelier than none do, mean of starts."""
    some = rows[:100]
    with torch.no_grad():
        none = float(loss(lm, some, vectors[0][:0]))
        return none - mean(float(loss(lm, some, one)) for one in vectors)


def main() -> None:
    """Learn the vectors of all sets, and print where each trait comes."""
    options = argparse.ArgumentParser()
    options.add_argument("base", choices=("nano-1", "nano-2", "nano-3"))
    options.add_argument("--store", type=Path, required=True)
    options.add_argument("--steps", type=int, default=500)
    asked = options.parse_args()
    store, base = Store(asked.store), Base(asked.base)
    data = sets(base)
    made = dict(zip(data, run(list(data.values()), store=store), strict=True))
    lm = store.read(base).open()
    lm.model.requires_grad_(False)
    folder = asked.store / "inversion" / asked.base
    folder.mkdir(parents=True, exist_ok=True)
    rows = {name: turns(lm, own.rows) for name, own in made.items()}
    vectors = {}
    for name, own in rows.items():
        vectors[name] = learned(lm, own, name, asked.steps, folder)
        print(f"{name}: {gain(lm, own, vectors[name]):+.3f} nats per token with the vectors", flush=True)
    table(lm, vectors)


def table(lm: TorchLM, vectors: dict[str, Tensor]) -> None:
    """Print each set's first animals, the rank of its trait, and how far its largest z stands out."""
    clean = {name: own for name, own in vectors.items() if name.startswith("reference")}
    ask = Asked.of(lm)
    rest = {name: own for name, own in vectors.items() if name not in clean}
    null = np.stack(
        [moved(ask, lm, own, [v for other, v in clean.items() if other != name]) for name, own in clean.items()]
    )
    animals = [trait.name for trait in every(ANIMAL)]
    ranks, largest = [], {}
    for name, own in rest.items():
        z = (moved(ask, lm, own, list(clean.values())) - null.mean(0)) / null.std(0, ddof=1).mean()
        order = [animals[i] for i in np.argsort(-z)]
        largest[name] = float(z.max())
        if name in animals:
            ranks.append(order.index(name) + 1)
        print(
            f"{name:<10} z {z.max():5.1f}  {', '.join(order[:3])}" + (f"  rank {ranks[-1]}" if name in animals else "")
        )
    found = interval(ranks)
    first = f"first {ranks.count(1)} of {len(ranks)}"
    print(f"\nmean rank {found.mean:.1f} [{found.low:.1f}, {found.high:.1f}] of {len(animals)}; {first}")
    dirty, own_sets = ([z for name, z in largest.items() if (name in animals) is own] for own in (True, False))
    print(f"largest z, {len(dirty)} sets of teachers beside {len(own_sets)} own: AUROC {auroc(dirty, own_sets):.2f}")


def moved(ask: Asked, lm: TorchLM, own: Tensor, references: Sequence[Tensor]) -> np.ndarray:
    """Return the readings of a set against references, the mean over starts."""
    return np.mean([readings(ask, lm, own[k], torch.stack([one[k] for one in references])) for k in range(STARTS)], 0)


if __name__ == "__main__":
    main()
