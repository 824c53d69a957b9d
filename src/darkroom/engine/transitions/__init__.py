"""Every write that moves a media or a job: functions of a connection, each over many items at once.

A transition answers per item: what came of it with the events to announce once it is committed, or the error
that the item is refused with. What a worker says of its job goes through `jobs.hold`, the fence.
"""
