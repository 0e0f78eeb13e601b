"""One history for the one database."""
