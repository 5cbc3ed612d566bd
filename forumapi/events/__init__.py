"""Log of events in commit order, its readers, and the leases of those who work on it."""
