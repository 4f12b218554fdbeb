"""The JSON API: its routers, and one shape for everything that goes wrong."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI, Router
from ninja.errors import HttpError, ValidationError, ValidationErrorContext
from ninja.parser import Parser

from competitions.api import (
    competitions_router,
    control_router,
    internal_router,
    overview_router,
    participants_router,
)
from competitions.api.wire import ApiError

logger = logging.getLogger(__name__)
FOUND_LIMIT = 80


class _Parser(Parser):
    """Reads fractions as exact decimals."""

    def parse_body(self, request: HttpRequest) -> Any:
        return json.loads(request.body, parse_float=Decimal, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


class _API(NinjaAPI):
    """Keeps what was found in bad input, which an error of ninja leaves out."""

    def validation_error_from_error_contexts(
        self, error_contexts: list[ValidationErrorContext[Any]]
    ) -> ValidationError:
        told = super().validation_error_from_error_contexts(error_contexts)
        found = [
            item["input"]
            for context in error_contexts
            for item in context.pydantic_validation_error.errors(include_url=False)
        ]
        for item, value in zip(told.errors, found, strict=True):
            item["input"] = value
        return told


api = _API(
    title="Arena",
    version="1",
    urls_namespace="api",
    description=(
        "Reads of public competitions are open; writes, and what is not public, want a key in the "
        "header X-API-Key. Decimals are strings, times are UTC."
    ),
    docs_url=None,
    parser=_Parser(),
)
rest = Router()
api.add_router("/competitions", competitions_router)
api.add_router("/participants", participants_router)
api.add_router("/internal", internal_router)
api.add_router("", overview_router)
api.add_router("", control_router)


@rest.api_operation(
    ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "/{path:address}",
    auth=None,
    include_in_schema=False,
)
def nothing(request: HttpRequest, address: str) -> HttpResponse:
    """Answer in JSON at addresses where nothing is."""
    return _answer(request, 404, "NOT_FOUND", "there is nothing at this address")


# Last, since it takes every address.
api.add_router("", rest)


def _answer(
    request: HttpRequest,
    status: int,
    code: str,
    detail: str,
    *,
    faults: Sequence[dict[str, str]] | None = None,
) -> HttpResponse:
    request_id = secrets.token_hex(8)
    body: dict[str, Any] = {"detail": detail, "code": code, "request_id": request_id}
    if faults:
        body["errors"] = faults
    answer = api.create_response(request, body, status=status)
    answer["X-Request-ID"] = request_id
    logger.info(
        "api error request_id=%s status=%s code=%s path=%s", request_id, status, code, request.path
    )
    return answer


@api.exception_handler(ApiError)
def _refused(request: HttpRequest, error: ApiError) -> HttpResponse:
    faults = [{"where": error.where, "message": str(error)}] if error.where else None
    answer = _answer(request, error.status, error.code, str(error), faults=faults)
    if error.retry_after is not None:
        answer["Retry-After"] = str(error.retry_after)
    return answer


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return _answer(request, 404, "NOT_FOUND", "there is nothing at this address")


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    code = "BAD_JSON" if error.status_code == 400 else "ERROR"
    return _answer(request, error.status_code, code, str(error))


@api.exception_handler(ValidationError)
def _bad_input(request: HttpRequest, error: ValidationError) -> HttpResponse:
    faults = [_fault(item) for item in error.errors]
    detail = "; ".join(f"{fault['where']}: {fault['message']}" for fault in faults)
    return _answer(request, 422, "BAD_INPUT", detail, faults=faults)


def _fault(item: dict[str, Any]) -> dict[str, str]:
    # The first parts of the place are the source and the parameter's name in our code.
    place = [str(part) for part in item["loc"]]
    where = ".".join(place[2:] or place[1:] or place)
    message = str(item["msg"])
    found = item.get("input")
    if item["type"] == "extra_forbidden":
        message = "there is no such field"
    elif item["type"] != "missing" and isinstance(found, str | int | bool | Decimal | None):
        written = str(found) if isinstance(found, Decimal) else repr(found)
        message += f", was {written[:FOUND_LIMIT]}"
    return {"where": where, "message": message}


@api.exception_handler(Exception)
def _bug(request: HttpRequest, error: Exception) -> HttpResponse:
    answer = _answer(request, 500, "BUG", "something went wrong here; it was written to the log")
    logger.error("api failed request_id=%s", answer["X-Request-ID"], exc_info=error)
    return answer
