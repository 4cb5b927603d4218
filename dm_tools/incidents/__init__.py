"""From rounds of records to incidents over time: what dm-incidents does."""
