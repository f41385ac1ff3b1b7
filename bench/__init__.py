"""Benchmarks: each prints the machine, the command and a table; docs/benchmarks.md holds what they printed."""
