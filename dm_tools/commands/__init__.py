"""One file per command: options and wiring."""
