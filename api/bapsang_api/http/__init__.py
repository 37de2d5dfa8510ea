"""HTTP: the gateway that every request passes, and what routes are made of."""
