"""The read-only tools: one registry for every door."""
