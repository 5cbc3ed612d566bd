"""Account of what is lost when something is killed: nothing that was acknowledged."""
