"""`make smoke`: people who use a running `make run` with nothing but its API, its mailbox and its commands."""
