"""Shares and areas with their intervals, as tables of benchmarks print them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import binomtest

from owlish.study.stats import auroc

SAMPLES = 2_000


def share(hits: Sequence[bool]) -> str:
    """Return how many of all, with the 95 % interval of Clopper and Pearson."""
    if not hits:
        return "-"
    ends = binomtest(sum(hits), len(hits)).proportion_ci()
    return f"{sum(hits)} of {len(hits)} [{ends.low:.0%} to {ends.high:.0%}]"


def area(higher: Sequence[float], lower: Sequence[float]) -> str:
    """Return an AUROC with its 95 % interval from resampled sets."""
    if not higher or not lower:
        return "-"
    rng = np.random.default_rng(0)
    drawn = [auroc(list(rng.choice(higher, len(higher))), list(rng.choice(lower, len(lower)))) for _ in range(SAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return f"{auroc(list(higher), list(lower)):.3f} [{low:.3f}, {high:.3f}]"
