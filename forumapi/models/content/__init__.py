"""What people write, and what hangs on it: items, comments, huddles, files, votes, reactions."""
