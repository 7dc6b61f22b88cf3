"""A small but real study, as a user would write one: shared by all tests that need trained models."""

from dataclasses import replace

from owlish.studies import owl

study = replace(owl.study, name="small", bases=owl.study.bases[:1], foreign=owl.study.foreign[:1], rows=600, runs=2)
