"""Audits: lower bounds on epsilon, from guesses about what a mechanism released."""
