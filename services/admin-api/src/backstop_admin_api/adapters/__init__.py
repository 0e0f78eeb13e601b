"""What admin-api needs libraries of the outside for: the signatures of providers' webhooks."""
