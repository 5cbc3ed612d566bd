"""Pages of updates, watchers and read marks, and what live pages ask for."""
