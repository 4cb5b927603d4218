"""The scoreboard: how often the analysis is right, measured. `scripts/score` prints it, docs/scoreboard.md holds it."""
