"""The engine's own pages in a real browser."""
