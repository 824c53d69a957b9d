"""Telling operators what goes on: counts, log lines and spans of jobs, what waits and runs."""
