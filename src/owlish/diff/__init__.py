"""The diff: what training changed in a model, against students of the same recipe that were taught nothing."""

from owlish.diff.diff import diff as diff
from owlish.diff.verdict import Difference as Difference
