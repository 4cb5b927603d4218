"""dm-tools: small Unix commands that diagnose a Docker stack."""

__version__ = "0.1.0"
