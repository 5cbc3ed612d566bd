"""What is lost when something is killed: nothing that was acknowledged."""
