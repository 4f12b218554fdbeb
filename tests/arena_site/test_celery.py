"""Slow work and the clock have queues of their own, and everything on a timetable exists."""

from __future__ import annotations

from kombu import Connection

from arena_site import broker
from arena_site.celery import SWEEP_SECONDS, app


def queue_of(task: str) -> str:
    route = app.amqp.router.route({}, task, args=(), kwargs={})
    return route["queue"].name


def test_turns_do_not_share_a_queue_with_the_clock():
    # Both wait for the network: the market's and the models'.
    assert queue_of("competitions.tasks.start_round") == "turns"
    assert queue_of("competitions.tasks.play_turns") == "turns"
    for name in ("open_due_rounds", "sweep", "advance_feeds"):
        assert queue_of(f"competitions.tasks.{name}") == "clock"


def test_everything_on_the_timetable_is_a_task():
    app.loader.import_default_modules()

    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks
        assert entry["options"]["expires"] >= entry["schedule"]


def test_a_task_that_loses_its_worker_is_given_out_again():
    assert app.conf.task_acks_late is True
    assert app.conf.task_reject_on_worker_lost is True
    assert app.conf.worker_prefetch_multiplier == 1


def test_work_that_is_handed_out_expires_and_so_cannot_pile_up():
    app.loader.import_default_modules()

    for name in ("start_scheduled", "start_round", "play_turns"):
        # Some sweeps long, so that a busy worker gets it before it does.
        assert 3 * SWEEP_SECONDS <= app.tasks[f"competitions.tasks.{name}"].expires <= 120


def test_a_lost_broker_is_tried_again_for_ever_and_ends_no_worker():
    assert app.conf.broker_connection_max_retries is None
    assert app.conf.worker_cancel_long_running_tasks_on_connection_loss is False
    for address in ("redis://127.0.0.1:9/0", "rediss://127.0.0.1:9/0"):
        assert Connection(address).get_transport_cls() is broker.Transport


def test_only_json_is_accepted():
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == "json"
