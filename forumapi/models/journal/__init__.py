"""Traces of a write: audit, events, activity, answers to repeated requests."""
