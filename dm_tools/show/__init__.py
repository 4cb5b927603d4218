"""Records, reports and verdicts for people: text, the review, the HTML page."""
