"""Evaluator of rights over a site's tree of microcosms and roles, without input or output."""
