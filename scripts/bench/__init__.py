"""`make bench`: what a request costs beside what the ground costs (docs/benchmarks.md)."""
