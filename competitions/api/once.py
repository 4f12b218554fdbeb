"""Writes that may be sent twice: the same Idempotency-Key is answered with what was answered before."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext

from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Schema

from competitions.api.access import caller_of
from competitions.api.wire import ApiError
from competitions.models.access import ApiKey, ApiReply
from competitions.services.access import find_reply, keep_reply
from marketdata.domain.canonical import sha256_text

HEADER = "Idempotency-Key"
NAME = re.compile(r"[\x21-\x7e]{1,100}")


def answer_once(
    request: HttpRequest, act: Callable[[], Schema], *, status: int, is_atomic: bool
) -> HttpResponse:
    """Answer with what ``act`` returns, or with what it returned when the request came before under the same name.

    With ``is_atomic`` the act and its reply are kept together or not at all; acts that wait for the network keep the reply after
    they are done. Errors are not kept.
    """
    key, name = caller_of(request).key, _name(request)
    if key is None or not name:
        return _answer(status, act().model_dump_json())
    request_hash = sha256_text(f"{request.method} {request.get_full_path()}\n{request.body.hex()}")
    if known := _known(key, name, request_hash):
        return known
    try:
        with transaction.atomic() if is_atomic else nullcontext():
            body = act().model_dump_json()
            keep_reply(key, name, request_hash, status=status, body=body, now=timezone.now())
    except IntegrityError:
        # The same request arrived twice at once, and the other one was first.
        known = _known(key, name, request_hash)
        if known is None:
            raise
        return known
    return _answer(status, body)


def _name(request: HttpRequest) -> str:
    name = request.headers.get(HEADER, "")
    if name and not NAME.fullmatch(name):
        raise ApiError(
            422, "BAD_IDEMPOTENCY_KEY", f"{HEADER} must be 1 to 100 visible ASCII characters"
        )
    return name


def _known(key: ApiKey, name: str, request_hash: str) -> HttpResponse | None:
    reply: ApiReply | None = find_reply(key, name)
    if reply is None:
        return None
    if reply.request_hash != request_hash:
        raise ApiError(
            422,
            "IDEMPOTENCY_MISMATCH",
            f"{HEADER} {name} was used for another request; a new request wants a new one",
        )
    answer = _answer(reply.status, reply.body)
    answer["Idempotency-Replayed"] = "true"
    return answer


def _answer(status: int, body: str) -> HttpResponse:
    return HttpResponse(body, status=status, content_type="application/json; charset=utf-8")
