"""Reads the world and changes nothing: HTTP and TCP, the Docker Engine."""
