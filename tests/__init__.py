"""The tests. Real parts: a Docker Engine with real services (tests/lab), real servers, a real terminal."""
