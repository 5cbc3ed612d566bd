"""Admission of requests to a worker: fair between sites, by the price of their routes; and limits, of sites' plans and
of the requests of crawlers and unknown programs.
"""
