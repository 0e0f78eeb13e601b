"""admin-api: history, triggers and the dashboard, for people and for programs."""
