"""Celery's way to Redis, made to outlive a Redis that goes away."""

from __future__ import annotations

from kombu.transport import redis


class Channel(redis.Channel):
    """A channel that lets messages go with the connection that brought them.

    kombu would give them back, or acknowledge them when their task is done, through a client that is closed by then, and the
    AttributeError of that ends the worker. Nothing is lost: the sweeper finds work by its rows.
    """

    do_restore = False

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Acknowledge a message, unless it is gone."""
        if not self.closed:
            super().basic_ack(delivery_tag, multiple)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give a message back, unless it is gone."""
        if not self.closed:
            super().basic_reject(delivery_tag, requeue)


class Transport(redis.Transport):
    """Redis with such channels."""

    Channel = Channel
