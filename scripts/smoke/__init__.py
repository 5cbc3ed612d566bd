"""Smoke test, `make smoke`: uses a running `make run` by its API, its mailbox and its commands alone."""
