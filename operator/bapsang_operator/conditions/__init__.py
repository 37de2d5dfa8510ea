"""Computes the status: one condition type a file, in the order of compute.py. Pure."""
