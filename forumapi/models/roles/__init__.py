"""Roles, their criteria, and the recomputation of who is in which."""
