"""Reports, the cases that they lead to, actions as moderators read them, and appeals against decisions."""
