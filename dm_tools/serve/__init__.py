"""What may be asked for from outside: by SSH, by HTTP."""
