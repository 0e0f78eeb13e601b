"""Backstop in one process: the command line, the embedded composition, and the demo."""
