"""Scheduler: one tick per job and slot, from any number of replicas."""
