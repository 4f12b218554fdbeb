"""The Celery application: two queues, so that slow turns never delay the clock."""

from __future__ import annotations

import os

from celery import Celery
from kombu.transport import TRANSPORT_ALIASES

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "arena_site.settings")

CLOCK_SECONDS = 1.0
SWEEP_SECONDS = 3.0
CHECK_SECONDS = 10.0
REDIS_TRANSPORT = "arena_site.broker:Transport"

TRANSPORT_ALIASES.update(redis=REDIS_TRANSPORT, rediss=REDIS_TRANSPORT)

app = Celery("arena")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    task_default_queue="clock",
    task_routes={
        "competitions.tasks.play_turns": {"queue": "turns"},
        # It waits for the market, which the clock must not.
        "competitions.tasks.start_round": {"queue": "turns"},
        "competitions.tasks.start_scheduled": {"queue": "turns"},
        "competitions.tasks.run_trial": {"queue": "turns"},
        # It reads whole seasons.
        "competitions.tasks.check_seasons": {"queue": "turns"},
        "competitions.tasks.*": {"queue": "clock"},
    },
    # Work is handed out one piece at a time and again if its worker dies: every task may run twice.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # The rows are the result.
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    timezone="UTC",
    worker_hijack_root_logger=False,
    # A tick that nobody took in time is worthless; the next one does its work.
    beat_schedule={
        "open-due-rounds": {
            "task": "competitions.tasks.open_due_rounds",
            "schedule": CLOCK_SECONDS,
            "options": {"expires": 5},
        },
        "sweep": {
            "task": "competitions.tasks.sweep",
            "schedule": SWEEP_SECONDS,
            "options": {"expires": 15},
        },
        "check-seasons": {
            "task": "competitions.tasks.check_seasons",
            "schedule": CHECK_SECONDS,
            "options": {"expires": 20},
        },
    },
)
app.autodiscover_tasks()
