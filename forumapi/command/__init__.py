"""Command line, and the work of operators behind it: backup, checks, installation, seeding, archives."""
