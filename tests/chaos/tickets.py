"""Meddling with the tickets on a broker, as one who does not know what they are for."""

import random

from kombu import Connection
from kombu.message import Message

from darkroom.dispatch.queues import TASK, Queues, celery_of

LANES = ("default", "gpu")
SHUFFLED = 20


def add(url: str, number: int) -> int:
    """Send so many tickets that nobody waits for; return how many."""
    queues = Queues(url, LANES)
    app = celery_of(queues)
    with app.connection_for_write() as connection, app.amqp.Producer(connection, auto_declare=False) as producer:
        for n in range(number):
            queue = app.amqp.queues[queues.name(LANES[n % len(LANES)])]
            app.send_task(TASK, queue=queue, producer=producer)
    return number


def shuffle(url: str, chance: random.Random) -> int:
    """Take the waiting tickets of each lane, at most `SHUFFLED`, and put them back in another order."""
    moved, queues = 0, Queues(url, LANES)
    with Connection(url) as connection:
        for lane in LANES:
            queue = queues.queue(lane)(connection.channel())
            queue.declare()
            taken = [message for _ in range(SHUFFLED) if (message := queue.get()) is not None]
            chance.shuffle(taken)
            for message in taken:
                _put_back(connection, queue.name, message)
            moved += len(taken)
    return moved


def _put_back(connection: Connection, queue: str, message: Message) -> None:
    known = ("correlation_id", "reply_to", "delivery_mode")
    connection.Producer().publish(
        message.body,
        routing_key=queue,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        headers=message.headers,
        **{name: message.properties[name] for name in known if name in message.properties},
    )
    message.ack()
