"""Pages of updates, and what live pages ask for."""
