"""Reports, the cases that they lead to, what moderators do and undo, and the reasons that authors read."""
