"""The catalogue of actions and what may be proposed."""
