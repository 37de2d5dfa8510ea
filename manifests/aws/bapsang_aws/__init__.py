"""Checks the AWS estate without an account: renders the templates with a set of parameters and judges the result."""
