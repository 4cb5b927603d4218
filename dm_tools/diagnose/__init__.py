"""Pure judgement: no input or output."""
