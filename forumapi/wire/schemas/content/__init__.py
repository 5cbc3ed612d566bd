"""Shapes of answers about content that people write, and about what belongs to it."""
