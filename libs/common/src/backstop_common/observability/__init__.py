"""Logs, metrics, probes and traces: what operators see of a service."""
