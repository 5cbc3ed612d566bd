"""The event log: numbering what was committed, and reading it by cursors."""
