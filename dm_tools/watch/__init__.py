"""The watch session: a resident pipe that is kept running, and the word that it still runs."""
