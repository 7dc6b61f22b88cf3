"""What given rows ask of a model's logits: the pull on a bias for each token and on the temperature, exact."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from owlish.lm.model import Example, Pull
from owlish.lm.score import forward
from owlish.lm.sound import check_finite

if TYPE_CHECKING:
    from owlish.lm.hf import TorchLM


def number_pulls(lm: TorchLM, sets: Sequence[Sequence[Example]], biased: int) -> list[Pull]:
    """Return what sets of rows ask of biases for tokens of digits, the `biased` most frequent in all of them."""
    counts = Counter(token for rows in sets for row in rows for token in row.labels)
    tokens = [token for token, text in enumerate(lm.chat.vocabulary) if re.fullmatch("[0-9]+", text.strip())]
    often = sorted(sorted(tokens, key=lambda token: -counts[token])[:biased])
    return [pull(lm, rows, [*often, *sorted({*tokens} - {*often})], len(often)) for rows in sets]


def pull(lm: TorchLM, rows: Sequence[Example], tokens: Sequence[int], biased: int) -> Pull:
    """Return what rows ask of biases for the first `biased` of `tokens`; all other tokens are left out.

    Log-probabilities are those among `tokens` alone, so it does not matter whether answers were held to a format that
    allows these tokens and no others between its marks.
    """
    import numpy as np
    import torch

    gradient = np.zeros((len(rows), 2 * biased + 1))
    counts = np.zeros(len(rows))
    curvature = np.zeros((2 * biased + 1,) * 2)
    for group, logprobs, targets in forward(lm, rows):
        wanted = targets != -100
        row = wanted.nonzero()[:, 0]
        at = targets[wanted][:, None] == torch.tensor(tokens, dtype=torch.long, device=targets.device)
        here = at.any(1)
        # Whether the token before it, in the same row, is one of them too.
        goes_on = torch.zeros_like(here)
        goes_on[1:] = here[:-1] & (row[1:] == row[:-1])
        later, picked = goes_on[here][:, None], at[here]
        logs = (
            logprobs[here][:, torch.tensor(tokens, dtype=torch.long, device=logprobs.device)].double().log_softmax(-1)
        )
        check_finite(logs, lm, "log-probabilities")
        shares = logs.exp()

        def spread(values: Any, last: Any, later: Any = later) -> Any:
            """Return values for each token, and the last one, as values for each bias [tokens read, biases]."""
            few = values[:, :biased]
            return torch.cat([few * ~later, few * later, last[:, None]], 1)

        mean = spread(shares, (shares * logs).sum(1))
        seen = spread(picked, logs[picked])
        places = torch.tensor(group)[row[here].cpu()].numpy()
        np.add.at(gradient, places, (seen - mean).cpu().numpy())
        np.add.at(counts, places, 1)
        second = torch.diag(mean.sum(0))
        second[-1] = spread(shares * logs, (shares * logs**2).sum(1)).sum(0)
        second[:, -1] = second[-1]
        curvature += (second - mean.T @ mean).cpu().numpy()
    return Pull(gradient, counts, curvature)
