"""What a call of a model is made of, for turns and for trials alike."""

from __future__ import annotations

from agents import services as agents
from agents.domain.context import DecisionContext
from agents.domain.prompts import Messages
from agents.domain.schema import decision_schema
from agents.models import Agent, Completion
from agents.models.answers import CompletionStatus
from agents.providers import CallRequest, api_key_for, effective_parameters

ATTEMPTS = 2
RETRYABLE = {CompletionStatus.ERROR, CompletionStatus.TIMEOUT, CompletionStatus.EMPTY}


def why_not_asked(agent: Agent, name: str) -> str:
    """Return why the agent cannot be asked, with what would help; empty when it can. ``name`` is the participant's."""
    provider = agent.provider
    if not provider.is_enabled:
        return f"{provider.name} is disabled; enable it in the admin to let {name} in"
    if api_key_for(provider) is None:
        return agents.key_hint(provider)
    return ""


def final_answer(tries: tuple[Completion, ...]) -> Completion | None:
    """Return the stored try that ends the asking, None when there is something left to ask."""
    if not tries:
        return None
    last = tries[-1]
    is_final = last.status not in RETRYABLE or len(tries) >= ATTEMPTS
    return last if is_final else None


def request_of(
    agent: Agent, messages: Messages, context: DecisionContext, *, seconds: float
) -> CallRequest:
    """Return the request with the parameters that the agent's provider takes."""
    parameters, _ = effective_parameters(agent.provider, agent.parameters)
    return CallRequest(
        model=agent.model,
        system=messages.system,
        user=messages.user,
        parameters=parameters,
        schema=decision_schema(resting_orders=context.rules.resting_orders),
        timeout_seconds=seconds,
        context=context if agent.provider.is_baseline else None,
    )
