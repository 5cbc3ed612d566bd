"""Traces of a write: audit, events, activity, answers to repeated requests. `journal.py` writes them all; the modules
`audit_…` chain, sign, check, list and shorten the audit.
"""
