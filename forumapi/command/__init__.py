"""Command line, and the work of operators behind it."""
