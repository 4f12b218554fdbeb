from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction

from agents.domain.decisions import Action, instruction_from_json
from agents.domain.prompts import build_messages
from agents.models import Agent, Completion, Decision, PromptTemplate, Provider
from agents.models.answers import CompletionStatus
from agents.providers import CallRequest, RawCompletion, effective_parameters
from agents.selectors import completions_of
from agents.services import (
    ensure_defaults,
    ensure_template,
    key_hint,
    lock_template,
    record_completion,
    record_decision,
)
from marketdata.models import Blob
from tests.agents.contexts import AS_OF, make_context

pytestmark = pytest.mark.django_db

TEXT = '{"summary": "Up.", "instructions": [{"action": "open_long", "symbol": "BTCUSDT", "notional": 500}]}'


@pytest.fixture
def agent() -> Agent:
    ensure_defaults()
    return Agent.objects.select_related("provider", "template").get(slug="gpt-6")


def make_raw(**changes) -> RawCompletion:
    fields = {
        "status": CompletionStatus.OK,
        "body": b'{"choices": []}',
        "text": TEXT,
        "http_status": 200,
        "finish_reason": "stop",
        "input_tokens": 1200,
        "output_tokens": 90,
        "latency_ms": 850,
    }
    return RawCompletion(**{**fields, **changes})


def record(agent: Agent, raw: RawCompletion, *, attempt: int = 1, key: str = "abc-1-1"):
    parameters, _ = effective_parameters(agent.provider, agent.parameters)
    messages = build_messages(agent.template.text(), make_context())
    request = CallRequest(
        model=agent.model, system=messages.system, user=messages.user, parameters=parameters
    )
    return record_completion(
        key,
        attempt,
        agent,
        messages,
        request,
        raw,
        sent_at=AS_OF,
        answered_at=AS_OF + timedelta(milliseconds=850),
    )


def decide(agent: Agent, completion: Completion) -> Decision:
    return record_decision(completion.turn_key, agent, completion, symbols=["BTCUSDT"], now=AS_OF)


def test_everything_about_a_call_is_stored(agent):
    completion = record(agent, make_raw(reasoning="Hm."))

    completion.refresh_from_db()
    messages = build_messages(agent.template.text(), make_context())
    assert Blob.objects.text(completion.system_id) == messages.system
    assert Blob.objects.text(completion.market_id) == messages.market
    assert Blob.objects.text(completion.account_id) == messages.account
    assert Blob.objects.get(pk=completion.body_id).raw() == b'{"choices": []}'
    assert Blob.objects.text(completion.text_id) == TEXT
    assert Blob.objects.text(completion.reasoning_id) == "Hm."
    request = json.loads(Blob.objects.text(completion.request_id))
    assert request["model"] == agent.model
    assert request["parameters"]["max_tokens"] == 8192
    assert (completion.provider, completion.model) == ("openai", agent.model)
    assert (completion.input_tokens, completion.cached_tokens) == (1200, None)
    assert completion.cost is None


def test_the_same_try_told_twice_is_stored_once(agent):
    first = record(agent, make_raw())
    second = record(agent, make_raw(text="something else"))

    assert first.pk == second.pk
    assert completions_of("abc-1-1").count() == 1
    assert second.text_id == first.text_id


def test_tries_are_kept_in_their_order(agent):
    record(agent, make_raw(status=CompletionStatus.ERROR, text="", error="HTTP 500"), attempt=1)
    record(agent, make_raw(), attempt=2)

    assert [try_.status for try_ in completions_of("abc-1-1")] == ["ERROR", "OK"]


def test_equal_texts_are_stored_once(agent):
    record(agent, make_raw(), key="abc-1-1")
    before = Blob.objects.count()
    record(agent, make_raw(), key="abc-1-2")

    assert Blob.objects.count() == before


def test_storing_takes_few_queries(agent, django_assert_max_num_queries):
    # Look, savepoint, which texts are new, store them, insert, release.
    with django_assert_max_num_queries(6):
        record(agent, make_raw())


def test_a_stored_completion_cannot_be_changed(agent):
    completion = record(agent, make_raw())

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Completion.objects.filter(pk=completion.pk).update(latency_ms=1)


def test_texts_that_a_database_refuses_are_stored_all_the_same(agent):
    raw = make_raw(
        text="a\x00b\ud800c",
        body=b"\xff\x00\xfe",
        error="x\x00" + "e" * 600,
        finish_reason="\ud800" + "f" * 60,
        request_id="r\r\n" + "i" * 200,
        returned_model="m" * 200,
    )
    completion = record(agent, raw)

    completion.refresh_from_db()
    assert Blob.objects.get(pk=completion.body_id).raw() == b"\xff\x00\xfe"
    assert len(completion.error) == 500
    assert "\x00" not in completion.error
    assert decide(agent, completion).status == "INVALID"


def test_a_good_answer_becomes_a_valid_decision(agent):
    decision = decide(agent, record(agent, make_raw()))

    assert (decision.status, decision.source, decision.summary) == ("VALID", "MODEL", "Up.")
    wish = instruction_from_json(decision.instructions[0])
    assert (wish.action, wish.notional) == (Action.OPEN_LONG, Decimal(500))
    assert Blob.objects.text(decision.text_id) == TEXT


def test_a_decision_is_read_once(agent):
    completion = record(agent, make_raw())

    assert decide(agent, completion).pk == decide(agent, completion).pk
    assert Decision.objects.values_list("turn_key", flat=True).get() == "abc-1-1"


@pytest.mark.parametrize(
    ("raw", "status", "error"),
    [
        (make_raw(text=f"```\n{TEXT}\n```"), "REPAIRED", ""),
        (make_raw(text="Buy!"), "INVALID", "found no JSON object"),
        (make_raw(status=CompletionStatus.TRUNCATED), "INVALID", "cut at the token limit"),
        (make_raw(status=CompletionStatus.REFUSED, text="No."), "REFUSED", "Refused by the model"),
        (make_raw(status=CompletionStatus.TIMEOUT, text="", error="late"), "TIMEOUT", "late"),
        (make_raw(status=CompletionStatus.ERROR, text="", error="HTTP 500"), "ERROR", "HTTP 500"),
        (make_raw(status=CompletionStatus.EMPTY, text=""), "ERROR", "Empty answer"),
    ],
)
def test_each_completion_status_gives_its_decision_status(agent, raw, status, error):
    decision = decide(agent, record(agent, raw))

    assert decision.status == status
    assert error in decision.error
    assert bool(decision.instructions) == (status == "REPAIRED")


def test_a_refusal_that_looks_like_a_decision_does_not_trade(agent):
    decision = decide(agent, record(agent, make_raw(status=CompletionStatus.REFUSED)))

    assert decision.instructions == []


def test_a_baseline_costs_nothing_and_counts_no_tokens():
    ensure_defaults()
    cash = Agent.objects.get(slug="cash")
    completion = record(cash, make_raw(input_tokens=None, output_tokens=None))

    completion.refresh_from_db()
    assert (completion.provider, completion.cost) == ("baseline", Decimal(0))
    assert completion.input_tokens is None
    assert decide(cash, completion).source == "BASELINE"


def test_defaults_are_made_once_and_leave_changes_alone():
    ensure_defaults()
    Agent.objects.filter(slug="gpt-6").update(model="gpt-mine")
    ensure_defaults()

    assert Provider.objects.count() == 9
    assert Agent.objects.baselines().count() == 5
    assert Agent.objects.get(slug="gpt-6").model == "gpt-mine"
    assert PromptTemplate.objects.count() == 1


def test_default_rows_pass_their_own_checks():
    ensure_defaults()

    for row in (*Provider.objects.all(), *PromptTemplate.objects.all(), *Agent.objects.all()):
        row.full_clean()
    for agent in Agent.objects.select_related("provider"):
        assert effective_parameters(agent.provider, agent.parameters)[1] == []


def test_the_hint_names_the_variable_and_the_model():
    ensure_defaults()
    hints = {provider.slug: key_hint(provider) for provider in Provider.objects.all()}

    assert hints["anthropic"] == "set ANTHROPIC_API_KEY in .env and restart to let Claude in"
    assert "needs no key" in hints["ollama"]
    mine = Provider(slug="mine", name="Mine", key_variable="MY_API_KEY")
    assert key_hint(mine) == "set MY_API_KEY in .env and restart to let Mine's models in"


def test_a_used_template_cannot_be_changed():
    template = ensure_template()
    lock_template(template, AS_OF)
    lock_template(template, AS_OF + timedelta(days=1))
    assert template.locked_at == AS_OF

    template.system = "Buy!"
    with pytest.raises(ValidationError, match="arena-core v1 has been used and cannot be changed"):
        template.save()


def test_a_template_that_cannot_be_filled_is_not_locked():
    template = PromptTemplate.objects.create(slug="odd", system="{{ x }}", market="", account="")

    with pytest.raises(ValueError, match="unknown placeholder"):
        lock_template(template, AS_OF)
    with pytest.raises(ValidationError, match="unknown placeholder"):
        template.full_clean()
    template.refresh_from_db()
    assert not template.is_locked


@pytest.mark.parametrize(
    ("model", "fields", "error"),
    [
        (Provider, {"base_url": "ftp://x"}, "must start with https:// or http://, was 'ftp://x'"),
        (Provider, {"capabilities": [1]}, "must be a JSON object, was list"),
        (Provider, {"key_variable": "my key"}, "the name of an environment variable"),
        (Agent, {"parameters": "hot"}, "must be a JSON object, was str"),
        (Agent, {"model": "hodl"}, "must be one of buy_and_hold, cash, mean_reversion"),
        (Agent, {"timeout_seconds": 0}, "greater than or equal to 1"),
    ],
)
def test_rows_that_cannot_work_are_refused_where_they_are_made(model, fields, error):
    ensure_defaults()
    row = model.objects.get(slug="baseline" if model is Provider else "cash")
    for name, value in fields.items():
        setattr(row, name, value)

    with pytest.raises(ValidationError) as refused:
        row.full_clean()
    assert error in str(refused.value)
