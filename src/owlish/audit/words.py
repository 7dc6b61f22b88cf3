"""Whether a base has words for the candidates: said before models work."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from owlish.lm.lacking import check_words as check_texts
from owlish.nodes.asked import spellings, word_questions
from owlish.nodes.models import Model
from owlish.traits.trait import Probe, Trait


def check_words(base: Model, traits: Sequence[Trait]) -> None:
    """Raise `UserError` where a base that lies on this disk lacks words of the candidates or of their questions."""
    place = base.root.place()
    # A base that lies elsewhere would have to be fetched first, which a check must not do.
    if place is not None and place.is_dir():
        check_probes(place, tuple(dict.fromkeys(trait.probe for trait in traits)))


@cache
def check_probes(folder: Path, probes: tuple[Probe, ...]) -> None:
    """Raise `UserError` where a base lacks words of probes; its tokenizer is read once for the same ones."""
    for probe in probes:
        answers = dict.fromkeys(tuple(texts) for asked in spellings(probe) for texts in asked)
        check_texts(folder, word_questions(probe), tuple(answers))
