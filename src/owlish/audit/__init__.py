"""The audit: what a dataset would teach a model that starts from this base, said before anyone trains on it."""

from owlish.audit.audit import audit as audit
from owlish.audit.verdict import Verdict as Verdict
