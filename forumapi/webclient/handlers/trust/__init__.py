"""Pages of reports, of moderators' cases and actions, of statements of reasons and appeals, of the audit and the
transparency report.
"""
