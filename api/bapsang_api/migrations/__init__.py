"""The schema's history: how a database, empty or old, is brought to the current one.

Revisions expand first and contract in a later release, because old pods serve while a new schema is applied.
"""
