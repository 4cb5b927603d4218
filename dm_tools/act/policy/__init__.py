"""What may be done without a person: what a policy says, what it decides, what is earned and lost; pure functions."""
