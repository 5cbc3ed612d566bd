"""What a write leaves behind: audit, events, activity, answers to repeated requests."""
