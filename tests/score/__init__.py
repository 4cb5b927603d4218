"""The scoreboard: how often the analysis is right, measured; `scripts/score` prints it and writes docs/scoreboard.md."""
