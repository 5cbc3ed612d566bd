"""Handlers of what people write, and of what hangs on it."""
