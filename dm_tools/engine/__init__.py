"""The Docker Engine: what it is asked, and which container a name means."""
