"""Pages of content that people write, and of what belongs to it."""
