"""Data sets for demonstration, tests and measurements.

`corpus` makes the source texts, `simulated_activity` decides who writes what, where and when, `rendered_texts` renders
the texts, `site_rows` turns a shape into rows, `bulk_loader` loads the rows, `counter_verification` counts all stored
counters again. `demonstration` holds the sites `bikes` and `trains`, `demonstration_items` writes their events, polls
and huddles, `sized_data_set` loads the sizes S, M and L.
"""

from forumapi.command.seed.bench_landmarks import bench_tokens, landmarks
from forumapi.command.seed.corpus import SeedError
from forumapi.command.seed.counter_verification import recount, verify
from forumapi.command.seed.demonstration import CAST, demo
from forumapi.command.seed.sized_data_set import load

__all__ = ["CAST", "SeedError", "bench_tokens", "demo", "landmarks", "load", "recount", "verify"]
