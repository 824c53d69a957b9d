"""What both ends of the broker agree on: the queues, the task, and how Celery behaves."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from celery import Celery
    from kombu.entity import Queue

TASK = "darkroom.ticket"
"""The name of a ticket's task. Its queue says the lane; it has no arguments."""

HEARTBEAT = 20
"""Seconds after which a silent RabbitMQ is taken for gone, and connected anew."""


@dataclass(frozen=True, slots=True)
class Queues:
    """The queues of one Darkroom at a broker: one a lane, named `prefix.lane`."""

    broker_url: str
    lanes: tuple[str, ...]
    prefix: str = "darkroom"
    quorum: bool = False

    @property
    def location(self) -> str:
        """Where the broker is, without a password."""
        parts = urlsplit(self.broker_url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"

    def name(self, lane: str) -> str:
        """The queue of a lane."""
        return f"{self.prefix}.{lane}"

    def lane(self, name: str) -> str:
        """The lane of a queue."""
        return name.removeprefix(f"{self.prefix}.")

    def queue(self, lane: str) -> "Queue":
        """The queue of a lane, as it is declared. It needs no binding: messages are sent to it by its name."""
        from kombu.entity import Exchange, Queue

        name = self.name(lane)
        arguments = {"x-queue-type": "quorum"} if self.quorum else None
        unnamed = Exchange("")  # type: ignore[no-untyped-call]
        return Queue(  # type: ignore[no-untyped-call]
            name, unnamed, routing_key=name, durable=True, queue_arguments=arguments
        )


def celery_of(queues: Queues) -> "Celery":
    """Celery on these queues, as both ends use it. The caller adds the task.

    Tickets are acknowledged as soon as they are taken up: leases guard the work.
    """
    from celery import Celery

    app = Celery("darkroom", broker=queues.broker_url, set_as_current=False)
    app.conf.update(_CONFIGURATION)
    app.conf.update(
        task_queues=[queues.queue(lane) for lane in queues.lanes],
        broker_transport_options=transport_options(queues.broker_url),
    )
    return app


def transport_options(broker_url: str) -> dict[str, Any]:
    """What keeps a broker that does not answer from being waited for.

    On Redis a ticket that was taken is gone, acknowledged or not: an acknowledgement that comes when the connection is
    lost would end the worker, and the janitor sends another ticket anyway.
    """
    if broker_url.startswith("redis"):
        patience = {"socket_connect_timeout": PATIENCE, "socket_timeout": PATIENCE, "socket_keepalive": True}
        return {"ack_emulation": False, **patience}
    return {"read_timeout": PATIENCE, "write_timeout": PATIENCE}


PATIENCE = 4.0
"""Seconds for the broker to take or to give an answer."""

_CONFIGURATION: dict[str, Any] = {
    "accept_content": ["json"],
    "task_serializer": "json",
    "task_ignore_result": True,
    "task_acks_late": False,
    "task_create_missing_queues": False,
    "task_default_delivery_mode": "transient",  # a ticket that is lost is sent again
    "task_publish_retry": False,
    "broker_connection_timeout": PATIENCE,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_heartbeat": HEARTBEAT,
    "worker_pool": "threads",
    "worker_prefetch_multiplier": 1,
    "worker_enable_prefetch_count_reduction": False,  # from a pool's thread, it takes the answer another one waits for
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    "worker_enable_remote_control": True,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
}
