"""Log, metrics and their push to StatsD and Riemann, crash reports."""
