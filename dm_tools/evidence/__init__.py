"""Evidence: the view of one record, the ids of what is in it, and what it says in words."""
