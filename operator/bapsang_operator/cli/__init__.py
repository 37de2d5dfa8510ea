"""`kubectl bapsang`: looking at Communities and acting on them by hand. Not part of the operator's image."""
