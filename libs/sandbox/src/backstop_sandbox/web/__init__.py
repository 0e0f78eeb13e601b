"""The HTTP side of the sandbox: providers, file host, chat webhooks, control API and the page."""
