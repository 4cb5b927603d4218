"""How every filter behaves: stream, options, exit statuses, settings, clock."""
