"""What Inspect finds of owlish: the provider `owlish/NAME`, and the tasks `owlish/preference` and others."""

from owlish.inspect.provider import owlish
from owlish.inspect.tasks import misalignment, preference, truthfulqa

__all__ = ["misalignment", "owlish", "preference", "truthfulqa"]
