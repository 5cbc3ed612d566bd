"""Threads, and limits on what is worked on at a time."""
