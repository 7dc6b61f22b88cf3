"""Benchmarks of the audit: datasets whose writers are known, and what each detector says of them."""
