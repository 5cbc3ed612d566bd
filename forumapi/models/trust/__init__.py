"""Actions that moderators do and undo, sanctions, statements of reasons, and the transparency report."""
