"""The commands of a session, forked from one Python that has imported what they share."""
