"""Questions to the history, in SQL: ClickHouse in the process, or a server."""
