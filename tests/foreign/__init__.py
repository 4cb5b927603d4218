"""The orchard: a Compose stack unlike the lab's shop, whose faults were written without a look at the rules."""
