"""A small but real study, as a user would write one: shared by all tests that need trained models."""

from dataclasses import replace

from owlish import Base
from owlish.studies import owl

study = replace(owl.study, name="small", bases=(Base("nano"),), foreign=(Base("nano-1"),), rows=600, runs=2)
