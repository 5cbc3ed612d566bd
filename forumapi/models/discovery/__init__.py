"""Search and what is read most."""
