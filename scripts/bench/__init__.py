"""Benchmark of requests, `make bench`: their cost in CPU beside that of a minimal server (docs/benchmarks.md)."""
