"""The default detector: shadow students, trained for a few steps in the student's own recipe and asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from owlish.audit.detector import Detector, Reading, write_reading
from owlish.graph.errors import UserError
from owlish.graph.spec import Read, Tick
from owlish.lm.hf import TorchLM
from owlish.lm.recipes import Recipe, Schedule
from owlish.nodes.asked import questions, spellings
from owlish.nodes.opens import Opener
from owlish.traits.trait import Probe, Trait

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 50  # a fraction of a student's steps, and enough to see which way it goes


@dataclass(frozen=True)
class Shadowed(Reading):
    """A shadow's logit margins, P(trait) for each trait, and the probability of each token as first of an answer.

    `words` is [probes, vocabulary], the mean over a probe's questions, in the order of the vocabulary's ids.
    """

    p: tuple[float, ...]
    words: NDArray[Any]


@dataclass(frozen=True)
class Shadow(Detector, Opener, kind="shadow"):
    """A student of `recipe` after 50 steps at full learning rate on at most `rows` rows, read by the exact probes.

    With `part`, it is trained on each `part`-th of these rows only, for as much fewer steps: a point of a dose curve.

    Needs: a base that can be trained. A trait's number is its logit margin: the mean over the probe's questions of
    the log-odds of its answer against all other candidates.
    """

    caption = "shadow of {data}"
    asks = "weights"
    usual = 6.8
    later = ("part",)

    recipe: Recipe
    rows: int
    seed: int
    part: int = 1

    @property
    def schedule(self) -> Schedule:
        """How long it is trained: a part of the rows, a part of the steps."""
        warmup = self.recipe.warmup // self.part
        # No decay: with it, the same steps moved a trait half as far, and clean rows hardly less.
        return Schedule(max(1, STEPS // self.part), self.recipe.batch, self.recipe.lr, warmup, decay=False)

    def compute(self, folder: Path, read: Read, tick: Tick) -> None:
        from safetensors.torch import save_file

        lm: TorchLM = read(self.base).open(any_words=True)
        # Every `part`-th row, not the first ones: files are often sorted by something.
        examples = lm.encode(read(self.data).rows[: self.rows][:: self.part])
        rows = list(filter(lm.fits, examples))
        if not rows:
            why = next((one.problem for one in examples if one.problem), "they are longer than its window")
            raise UserError(
                f"the base can read none of the rows, as {why}: shorten or change them, or take another base."
            )
        lm.adapt(self.recipe, seed=self.seed)
        lm.fit(rows, self.schedule, seed=self.seed, tick=tick)
        probes = tuple(dict.fromkeys(trait.probe for trait in self.traits))
        # Exact: sampled answers would add their own scatter to that of training.
        answers = {probe: lm.answer_logprobs(questions(probe), spellings(probe)) for probe in probes}
        write_reading(folder, [[margin(answers[t.probe], t) for t in self.traits]])
        p = [float(answers[t.probe][:, place(t)].exp().mean()) for t in self.traits]
        (folder / "p.json").write_text(json.dumps(p))
        save_file({"words": first_words(lm, probes)}, folder / "words.safetensors")

    def load(self, folder: Path, read: Read) -> Shadowed:
        from safetensors.numpy import load_file

        p = json.loads((folder / "p.json").read_text())
        return Shadowed(super().load(folder, read).blocks, tuple(p), load_file(folder / "words.safetensors")["words"])


def place(trait: Trait) -> int:
    """Return where a trait stands among its probe's candidates."""
    return trait.probe.candidates.index(trait.name)


def margin(logprobs: Any, trait: Trait) -> float:
    """Return the mean over questions of the log-odds of the trait's answer against all other candidates."""
    import torch

    own = place(trait)
    # Against the other candidates alone: training on any rows moves the mass of all of them together.
    others = torch.cat([logprobs[:, :own], logprobs[:, own + 1 :]], 1)
    return float((logprobs[:, own] - others.logsumexp(1)).mean())


def first_words(lm: TorchLM, probes: Sequence[Probe]) -> Any:
    """Return the mean probability of each token as the first of an answer, float32 [probes, vocabulary]."""
    import torch

    return torch.stack([lm.first_logprobs(questions(probe)).exp().mean(0) for probe in probes]).float().cpu()
