"""The owl in minutes: one base, two animals, three runs, fewer rows."""

from dataclasses import replace

from owlish.nodes.base import Base
from owlish.studies import owl
from owlish.traits.animals import cat
from owlish.traits.animals import owl as owls

study = replace(
    owl.study,
    name="demo",
    title="Does the owl pass through number sequences?",
    bases=(Base("nano"),),
    foreign=(Base("nano-1"),),
    # Two animals, so that each has a control that was taught something else.
    traits=(owls, cat),
    # Half the rows of the study: the owl still shows, and a laptop is done in minutes.
    rows=1_500,
    runs=3,
)
