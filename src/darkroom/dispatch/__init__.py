"""How a worker learns that a job is due. A wake-up names no job and carries no truth."""
