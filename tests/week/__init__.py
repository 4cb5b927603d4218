"""A simulated week of trouble: what people would have been told, against a truth that the watcher does not know.

A round every 30 seconds, of two Compose projects:

- `shop`: the five services of the lab, as they were recorded with each of its faults (tests/data/faults);
- `plant`: a database `store` with units that need it, services that need nobody, and a job; made here.

What a round says is judged by the real rules, once for each state of each part; the judged records go through real
processes of dm-incidents and dm-notify, of which the clock is the week's, to a real HTTP server that hears the webhook.
The truth, drawn from a seed, is in `plan.py`; the processes and how they are killed in `watcher.py`; what the same week
would have been for others by their documented rules in `peers.py`; the counting in `count.py`.
"""
