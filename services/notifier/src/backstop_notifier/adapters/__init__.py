"""SMTP and chat webhooks behind the ports of `application.ports`."""
