"""Log, metrics, crash reports."""
