"""Reconciles: one pass over one Community observes, plans, writes and reports."""
