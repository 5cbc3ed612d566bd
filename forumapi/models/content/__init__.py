"""Content that people write, and what belongs to it: items, comments, huddles, files, votes, reactions."""
