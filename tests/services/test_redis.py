"""What goes through Redis: pushes between processes, and tasks as JSON alone."""

from __future__ import annotations

import asyncio
import pickle
import uuid

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer
from kombu import Connection, Exchange, Queue
from kombu.exceptions import ContentDisallowed

pytestmark = pytest.mark.services


async def test_a_message_reaches_a_reader_on_another_connection(redis_url):
    # Two layers stand for two processes.
    prefix = uuid.uuid4().hex
    hosts = [{"address": redis_url, "max_connections": 50}]
    reader = RedisPubSubChannelLayer(hosts=hosts, prefix=prefix)
    writer = RedisPubSubChannelLayer(hosts=hosts, prefix=prefix)
    channel = await reader.new_channel()
    await reader.group_add("arena.events", channel)

    await writer.group_send("arena.events", {"type": "arena.event", "seq": 7})
    message = await asyncio.wait_for(reader.receive(channel), 5)

    assert message == {"type": "arena.event", "seq": 7}
    await reader.flush()
    await writer.flush()


def test_a_pickled_task_is_refused_unread(redis_url):
    from arena_site.celery import app

    name = f"test-{uuid.uuid4().hex}"
    queue = Queue(name, Exchange(name), routing_key=name)
    with Connection(redis_url) as connection:
        with connection.Producer() as producer:
            producer.publish(
                pickle.dumps({"id": "1"}),
                content_type="application/x-python-serialize",
                content_encoding="binary",
                exchange=queue.exchange,
                routing_key=name,
                declare=[queue],
            )
        bound = queue(connection.channel())
        bound.accept = app.conf.accept_content
        message = bound.get(accept=app.conf.accept_content)
        with pytest.raises(ContentDisallowed):
            message.decode()
        message.ack()
        bound.delete()


def test_a_message_goes_with_the_connection_that_brought_it(redis_url):
    from arena_site.broker import Transport

    name = f"test-{uuid.uuid4().hex}"
    queue = Queue(name, Exchange(name), routing_key=name)
    with Connection(redis_url) as connection:
        assert connection.get_transport_cls() is Transport
        with connection.Producer() as producer:
            for number in range(2):
                producer.publish(
                    {"n": number}, exchange=queue.exchange, routing_key=name, declare=[queue]
                )
        channel = connection.channel()
        bound = queue(channel)
        first, second = bound.get(), bound.get()

        channel.close()
        first.ack()
        second.reject(requeue=True)

        with connection.channel() as other:
            assert queue(other).get() is None, "neither was given back"
            queue(other).delete()
