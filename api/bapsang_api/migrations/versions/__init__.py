"""Revisions, named by number and purpose."""
