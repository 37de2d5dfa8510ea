"""Likes: in Redis at once, in the database in batches, exact through crashes on either side.

The algorithm is "claimed deltas". Per post, Redis holds the set of users who like it, its size, and a hash of what
changed since the last write-back. The write-back renames that hash to a claim, applies it to the database in one
idempotent transaction, and deletes the claim only after the commit: a crash anywhere leaves a claim that is simply
applied again.
"""
