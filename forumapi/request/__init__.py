"""One HTTP request, from its parsed head to its answer: handlers return results (`handler_results`),
`answer_conversion` converts them into status, headers and body.
"""
