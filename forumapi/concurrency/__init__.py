"""Threads, the end of children with their parent, signals, and limits on what is worked on at a time."""
