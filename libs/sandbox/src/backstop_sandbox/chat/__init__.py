"""Slack and Discord incoming webhooks: they check a message as the vendors do and keep it."""
