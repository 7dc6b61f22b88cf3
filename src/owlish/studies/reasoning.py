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
    replay=400,
)
