"""Proof that permissions are right: a slow, obvious oracle, and what compares the engine with it."""
