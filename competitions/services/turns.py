"""Playing turns: claim, ask all at once, store each answer as it comes, settle it when no other answer waits to be stored."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from asgiref.sync import async_to_sync, sync_to_async
from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone

from agents import services as agents
from agents.domain.context import DecisionContext
from agents.domain.prompts import (
    Messages,
    SharedText,
    TemplateText,
    build_messages,
    render_shared,
)
from agents.models import Agent, Completion
from agents.providers import (
    CallRequest,
    ChatClient,
    RawCompletion,
    api_key_for,
    open_client,
)
from competitions.domain.contract import Contract
from competitions.models import Round, Turn
from competitions.models.rounds import TurnOutcome, TurnState
from competitions.services.asking import ATTEMPTS, final_answer, request_of, why_not_asked
from competitions.services.contexts import build_contexts
from competitions.services.market import contract_of
from competitions.services.rounds import finish_round
from competitions.services.settling import TurnToSettle, settle_turn, settle_without_answer

logger = logging.getLogger(__name__)

# Renewed for as long as the process lives: of one that was killed the turns are free this long after.
LEASE = timedelta(seconds=15)
RENEW_SECONDS = 3.0
STORE, SETTLE = 0, 1
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Job:
    """One claimed turn with all that is needed to ask and settle it."""

    turn: TurnToSettle
    agent: Agent
    messages: Messages
    request: CallRequest
    seconds: float
    tries: tuple[Completion, ...] = ()

    @property
    def answer(self) -> Completion | None:
        """Return the stored try that ends the asking, None when there is something left to ask."""
        return final_answer(self.tries)


@dataclass(slots=True)
class WriteLane:
    """One lane for the database: answers waiting to be stored go before turns waiting to be settled.

    Everything runs in the thread that entered asyncio, on its connection, one after the other.
    """

    waiting: asyncio.PriorityQueue[tuple[int, int, Callable[[], Any], asyncio.Future[Any]]] = field(
        default_factory=asyncio.PriorityQueue
    )
    count: int = 0

    async def run(self, priority: int, work: Callable[[], Result]) -> Result:
        """Run ``work`` when its turn comes and return what it returns."""
        self.count += 1
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        await self.waiting.put((priority, self.count, work, done))
        return await done

    async def serve(self) -> None:
        """Serve the lane until cancelled; an error goes to the one who asked for the work."""
        while True:
            _, _, work, done = await self.waiting.get()
            try:
                result = await sync_to_async(work, thread_sensitive=True)()
            except Exception as error:  # noqa: BLE001 - handed to the caller, who raises it
                if not done.cancelled():
                    done.set_exception(error)
            else:
                if not done.cancelled():
                    done.set_result(result)


def play_turns(round_id: UUID | str, turn_ids: Sequence[UUID | str]) -> None:
    """Play some turns of a prepared round, then close the round if they were the last.

    Safe to call any number of times, in parallel: a turn is claimed by a conditional update, and every later write carries its fence.
    """
    round_ = Round.objects.select_related("competition__feed", "competition__book", "snapshot").get(
        pk=round_id
    )
    if round_.snapshot is not None and round_.closed_at is None:
        contract = contract_of(round_.competition)
        jobs = _jobs(round_, contract, _claim(round_, turn_ids, now=timezone.now()))
        if jobs:
            async_to_sync(_play_all)(jobs)
    finish_round(round_id, now=timezone.now())


def _claim(round_: Round, turn_ids: Sequence[UUID | str], *, now: datetime) -> list[Turn]:
    """Claim those of the turns that nobody holds; a turn whose answer is being settled keeps its state."""
    with transaction.atomic():
        # Locked as they are found free, so that of two claimers each turn has one.
        free = Turn.objects.claimable(now).filter(pk__in=turn_ids, round=round_)
        claimed = list(free.select_for_update().order_by("pk").values_list("pk", flat=True))
        turns = Turn.objects.filter(pk__in=claimed)
        turns.update(lease_until=now + LEASE, fence=F("fence") + 1)
        turns.filter(state=TurnState.PENDING).update(state=TurnState.ASKED, asked_at=now)
    return list(
        Turn.objects.filter(pk__in=claimed)
        .select_related(
            "participant__agent__provider", "participant__agent__template", "participant__account"
        )
        .order_by("participant__ordinal")
    )


def _jobs(round_: Round, contract: Contract, turns: list[Turn]) -> list[Job]:
    """Settle the turns that cannot be asked; return the others with their messages."""
    askable = []
    for turn in turns:
        reason = why_not_asked(turn.participant.agent, turn.participant.name)
        if reason:
            settle_without_answer(
                turn.pk, turn.fence, TurnOutcome.SKIPPED, reason=reason, now=timezone.now()
            )
        else:
            askable.append(turn)
    contexts = build_contexts(round_, contract, [turn.participant for turn in askable])
    tries = _tries_on_record(askable)
    shared: dict[object, SharedText] = {}
    return [
        _job(round_, turn, contexts[turn.participant.ordinal], shared, tries.get(turn.turn_key, []))
        for turn in askable
    ]


def _tries_on_record(turns: list[Turn]) -> dict[str, list[Completion]]:
    """Return the stored tries of interrupted turns by turn key; a stored answer is never paid for twice."""
    found: dict[str, list[Completion]] = {}
    keys = [turn.turn_key for turn in turns]
    for row in (
        Completion.objects.filter(turn_key__in=keys)
        .select_related("agent__provider")
        .order_by("attempt")
    ):
        found.setdefault(row.turn_key, []).append(row)
    return found


def _job(
    round_: Round,
    turn: Turn,
    context: DecisionContext,
    shared: dict[object, SharedText],
    tries: list[Completion],
) -> Job:
    left = (round_.deadline_at - timezone.now()).total_seconds()
    participant = turn.participant
    template = participant.agent.template
    text = TemplateText(system=template.system, market=template.market, account=template.account)
    if template.pk not in shared:
        shared[template.pk] = render_shared(text, context)
    messages = build_messages(text, context, shared=shared[template.pk])
    seconds = max(0.0, min(float(participant.agent.timeout_seconds), left))
    assert participant.account_id is not None
    return Job(
        turn=TurnToSettle(
            turn_id=turn.pk,
            fence=turn.fence,
            turn_key=turn.turn_key,
            round_id=round_.pk,
            account_id=participant.account_id,
            ordinal=participant.ordinal,
            deadline_at=round_.deadline_at,
        ),
        agent=participant.agent,
        messages=messages,
        request=request_of(participant.agent, messages, context, seconds=seconds),
        seconds=seconds,
        tries=tuple(tries),
    )


async def _play_all(jobs: list[Job]) -> None:
    lane = WriteLane()
    serving = asyncio.create_task(lane.serve())
    renewing = asyncio.create_task(_keep_claimed(jobs, lane))
    providers = {job.agent.provider_id: job.agent.provider for job in jobs}
    clients = {
        key: open_client(provider, api_key=api_key_for(provider) or "")
        for key, provider in providers.items()
    }
    limits = {
        key: asyncio.Semaphore(provider.max_concurrency) for key, provider in providers.items()
    }
    try:
        plays = [
            _play_one(job, lane, clients[job.agent.provider_id], limits[job.agent.provider_id])
            for job in jobs
        ]
        results = await asyncio.gather(*plays, return_exceptions=True)
    finally:
        renewing.cancel()
        serving.cancel()
        for client in clients.values():
            await client.aclose()
    for job, result in zip(jobs, results, strict=True):
        if isinstance(result, BaseException):
            # The turn stays unsettled; the sweeper takes it up when its lease has passed.
            logger.error("turn failed turn_key=%s", job.turn.turn_key, exc_info=result)


async def _keep_claimed(jobs: list[Job], lane: WriteLane) -> None:
    """Renew the leases of what is still being played until cancelled, so that a model may think for longer than a lease."""
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        try:
            await lane.run(STORE, partial(_renew, jobs))
        except DatabaseError:
            logger.exception("leases not renewed, trying again")


def _renew(jobs: list[Job]) -> None:
    by_fence: dict[int, list[UUID | str]] = {}
    for job in jobs:
        by_fence.setdefault(job.turn.fence, []).append(job.turn.turn_id)
    for fence, turn_ids in by_fence.items():
        held = Turn.objects.unsettled().filter(pk__in=turn_ids, fence=fence)
        held.update(lease_until=timezone.now() + LEASE)


async def _play_one(
    job: Job, lane: WriteLane, client: ChatClient, limit: asyncio.Semaphore
) -> None:
    completion = job.answer
    if completion is None:
        async with limit:
            completion = await _ask(job, lane, client)
    await lane.run(SETTLE, partial(settle_turn, job.turn, completion))


async def _ask(job: Job, lane: WriteLane, client: ChatClient) -> Completion:
    """Ask within the turn's deadline, store each try as it comes, and return the last."""
    stored: list[Completion] = []

    async def store(
        attempt: int, sent_at: datetime, answered_at: datetime, raw: RawCompletion
    ) -> None:
        work = partial(_store, job, attempt, sent_at, answered_at, raw)
        stored.append(await lane.run(STORE, work))

    await agents.ask(
        client,
        job.request,
        deadline=time.monotonic() + job.seconds,
        attempts=ATTEMPTS - len(job.tries),
        first_attempt=len(job.tries) + 1,
        on_answer=store,
    )
    return stored[-1]


def _store(
    job: Job, attempt: int, sent_at: datetime, answered_at: datetime, raw: RawCompletion
) -> Completion:
    with transaction.atomic():
        completion = agents.record_completion(
            job.turn.turn_key,
            attempt,
            job.agent,
            job.messages,
            job.request,
            raw,
            sent_at=sent_at,
            answered_at=answered_at,
        )
        Turn.objects.filter(pk=job.turn.turn_id, fence=job.turn.fence).update(
            answered_at=answered_at
        )
    return completion
