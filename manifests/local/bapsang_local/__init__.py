"""The local cluster: one command that turns a laptop or a CI machine into a small EKS look-alike and back.

Standard library only: it runs before anything is installed. It never talks to a cluster other than its own
or the one that `BAPSANG_CONTEXT` names.
"""
