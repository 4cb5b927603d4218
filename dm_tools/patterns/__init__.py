"""The pattern library: the language of sayings, matching it, and reading its files."""
