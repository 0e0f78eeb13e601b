"""What the admin-api can do, one verb per file."""
