"""Reports and review decisions on disk."""
