"""Scheduled jobs, a module a job and small ones in `maintenance_jobs`; some do only the last step of what models began;
and the process that runs them.
"""
