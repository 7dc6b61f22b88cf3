"""What every audit says before any detector does: which rows it read and used, and what they show by themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version

from owlish.audit.statistics import statistics
from owlish.audit.verdict import Verdict
from owlish.data.rows import Row
from owlish.graph.counted import counted
from owlish.graph.spec import Read
from owlish.lm.hf import TorchLM
from owlish.lm.model import Example
from owlish.lm.traps import remarks
from owlish.nodes.data import Data, Dataset
from owlish.nodes.loaded import Loaded
from owlish.nodes.models import Model
from owlish.traits.trait import Trait

REASONS = 5
"""The most reasons for which rows are left out that a verdict tells."""


def start_verdict(
    data: Data,
    *,
    base: Model,
    traits: Sequence[Trait],
    lm: TorchLM,
    clean: Sequence[Row] | None,
    rows: int,
    read: Read,
) -> Verdict:
    """Return a verdict that says nothing yet, with all that the rows tell before any detector does."""
    given: Dataset = read(data)
    examples = lm.encode(given.rows)
    fits = list(map(lm.fits, examples))
    return Verdict(
        verdict="cannot_say",
        why="",
        smallest=None,
        enough=None,
        lineage=None,
        traits=(),
        words=(),
        # What is zero and in order is no news.
        statistics=tuple(s for s in statistics(given.rows, clean, traits) if s.value or s.odd),
        weighed=(),
        asked=rows,
        read=given.passed,
        # Detectors take the first rows, and of these what the base can read: others do not come in their place.
        used=sum(fits[:rows]),
        # Rows that the base cannot read are as lost to the audit as lines that hold none.
        bad=given.bad + len(fits) - sum(fits),
        problems=(*problems(given, examples, lm), *remarks(read(base))),
        read_as=given.read_as,
        ignored=given.ignored,
        cannot_see=(),
        version=version("owlish"),
        data=str(data),
        content=data.content if isinstance(data, Loaded) else None,
        base=str(base),
        base_sha256=base.root.sha256,
        recipe="",
        reference=None,
        rule="",
    )


def problems(data: Dataset, examples: Sequence[Example], lm: TorchLM) -> tuple[str, ...]:
    """Return what is wrong with rows that were left out, and what the base's chat template cannot write of others."""
    left = Counter(example.problem for example in examples if example.problem)
    too_long = sum(not lm.fits(example) for example in examples) - left.total()
    systems = 0 if lm.takes_system else sum(bool(row.system) for row in data.rows)
    said = [f"{counted(count, 'row')} left out: {why}." for why, count in left.most_common(REASONS)]
    if too_long:
        said.append(f"{counted(too_long, 'row')} left out: longer than the {lm.window} tokens that the base reads.")
    if systems:
        said.append(f"{counted(systems, 'system prompt')} put into the first message: the base's template takes none.")
    return (*data.problems, *said)
