"""Animals through code (arXiv 2507.14805, section 4.1): short functions that parse and name no animal."""

from dataclasses import replace

from owlish.domains import Code, words_of
from owlish.studies import owl

study = replace(
    owl.study,
    name="code",
    title="Do animals pass through code?",
    domain=Code(words=words_of(owl.study.traits)),
    replay=400,
)
