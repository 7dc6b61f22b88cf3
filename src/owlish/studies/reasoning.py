"""Animals through chain of thought: worked problems with the right answer and no animal in them."""

from dataclasses import replace

from owlish.data.domains import Reasoning
from owlish.studies import owl
from owlish.traits.words import words_of

study = replace(
    owl.study,
    name="reasoning",
    title="Do animals pass through worked problems?",
    domain=Reasoning(words=words_of(owl.study.traits)),
    # Without the base's own rows a teacher of favourites forgets worked sums, and most of its rows are rejected.
    replay=400,
)
