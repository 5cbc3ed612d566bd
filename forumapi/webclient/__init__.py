"""Website of each site: pages made of what the public API answers, and of nothing else."""
