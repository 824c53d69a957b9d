"""Telling callers what happens to their media: one feed a process, whoever watches."""
