"""What `docs/performance.md` quotes, one command each: `uv run python -m benchmarks.jobs`, and so on.

jobs       end to end, from POST to COMPLETED, in a burst and paced
requests   POST, status, get and list at 1,000 to 1,000,000 rows
callers    what one caller waits, with one and with several server processes
start      from the command to the first answer
memory     resident memory after 1,000, 5,000 and 20,000 jobs
waiting    memory of a worker while 1,000 jobs wait for their backend
pictures   drawing and developing pictures

Each starts the real server in a fresh temporary folder (below TMPDIR, which should be a disk) and measures it in turn
with a partner that does the bare work. `--quick` is a short form, to see that it runs: its figures say nothing.
"""
