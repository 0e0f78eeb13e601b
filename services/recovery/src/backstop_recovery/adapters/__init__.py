"""Providers, addresses, asset stores: the outside world behind the ports of `application.ports`."""
