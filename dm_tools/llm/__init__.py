"""The local model: an analyst that is constrained, grounded and optional."""
