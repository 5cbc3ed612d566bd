"""Real threads for demonstrations, tests and benchmarks: the demo sites, and databases of size S, M and L.

`corpus` reads and dresses the source texts, `shape` decides who writes what where and when, `texts`
renders, `sites` turns a shape into rows, `store` loads them, `verification` counts everything again.
"""

from forumapi.seed.bench import bench_tokens, landmarks
from forumapi.seed.demonstration import CAST, demo
from forumapi.seed.loading import SeedError, load
from forumapi.seed.verification import recount, verify

__all__ = ["CAST", "SeedError", "bench_tokens", "demo", "landmarks", "load", "recount", "verify"]
