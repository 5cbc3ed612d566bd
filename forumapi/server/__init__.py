"""Web processes: gunicorn's worker and master, the process that keeps their listeners, the website's own process, and
the client by which operators ask for a machine's health.
"""
