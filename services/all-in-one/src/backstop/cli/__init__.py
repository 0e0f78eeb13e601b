"""The command line: each command is a thin way to the same use cases the services have."""
