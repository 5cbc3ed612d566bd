"""Admission of requests to a worker: fair between sites, by the price of their routes."""
