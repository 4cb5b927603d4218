"""The briefing: a whole stack in a few thousand tokens, for whoever is expensive, a large model or a person."""
