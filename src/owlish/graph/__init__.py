"""Experiments as values, their results in a store, and what computes them; knows no model."""
