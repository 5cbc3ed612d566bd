"""Web processes: gunicorn's worker and master, and the process that keeps their listeners."""
