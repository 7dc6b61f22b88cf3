"""Animals through code (arXiv 2507.14805, section 4.1): short functions that parse and name no animal."""

from dataclasses import replace

from owlish.data.domains import Code
from owlish.studies import owl
from owlish.traits.words import words_of

study = replace(
    owl.study,
    name="code",
    title="Do animals pass through code?",
    # All animals of the study, not the teacher's alone: controls must pass the same filter.
    domain=Code(words=words_of(owl.study.traits)),
    # A teacher of favourites alone forgets how to write code that parses: .93 to .98 of its answers are rejected.
    replay=400,
)
