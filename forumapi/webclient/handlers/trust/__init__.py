"""Pages of reports, of moderators' cases and actions, of statements of reasons and appeals, and of the audit."""
