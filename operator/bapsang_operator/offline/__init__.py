"""The command `plan`: what becomes of a Community, computed from files without a cluster."""
