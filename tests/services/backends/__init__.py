"""Fakes of the backends: real HTTP servers that behave as the vendors document it, and fail as they do."""
