"""One gradient of the rows against one gradient of each trait's answers: the cheapest detector, and a weak one."""

from __future__ import annotations

from dataclasses import dataclass

from owlish.audit.contrast import Contrast, slope
from owlish.audit.direction import Direction, centre
from owlish.graph.spec import Read
from owlish.lm.load import LM
from owlish.lm.train import examples


@dataclass(frozen=True)
class Gradient(Contrast, kind="gradient"):
    """The contrast along the first gradient step towards each trait's answers, in place of a taught direction.

    Needs: gradients. `writers` say which parameters count: those that they move.
    """

    def directions(self, lm: LM, read: Read) -> list[Direction]:
        """Return the gradients of the log-likelihood of each trait's answers."""
        names = sorted({name for direction in super().directions(lm, read) for name in direction})
        found = []
        for trait in self.traits:
            pairs = [(lesson.question, answer) for lesson in trait.lessons for answer in lesson.answers]
            answers = lm.chat.answers([answer for _, answer in pairs])
            rows = examples(lm.prompts([question for question, _ in pairs]), answers, window=lm.window)
            sizes = [lm.model.get_parameter(name).numel() for name in names]
            parts = slope(lm, rows, names).split(sizes)
            shapes = [lm.model.get_parameter(name).shape for name in names]
            found.append({n: part.view(shape) for n, part, shape in zip(names, parts, shapes, strict=True)})
        return centre(found, self.traits)
