"""`make chaos`: what is taken away while people write and read, and what they lose by it."""
