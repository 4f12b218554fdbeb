"""Binance's public USD-M REST interface through python-binance: bounded in time, and every failure a FeedError."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import requests
from binance.client import Client
from binance.exceptions import BinanceAPIException, BinanceRequestException
from urllib3.exceptions import HTTPError, ReadTimeoutError

from marketdata.feeds.base import FeedError

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 10.0
CHECK_SECONDS = 3.0
MAX_BODY_BYTES = 32 * 1024 * 1024
# What to wait when Binance asks for it but does not say how long: 418 is a ban.
_DEFAULT_WAIT = {429: 60.0, 418: 300.0}
_UNKNOWN_SYMBOL = -1121


class _BoundedSession(requests.Session):
    """Ends a request that drips on past its total time, grows too large, or is sent elsewhere."""

    def __init__(self, total_seconds: float) -> None:
        super().__init__()
        self._total_seconds = total_seconds

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        deadline = time.monotonic() + self._total_seconds
        kwargs |= {"stream": True, "allow_redirects": False}
        response = super().request(method, url, **kwargs)
        with response:
            # Where requests keeps a body it has read itself.
            response._content = _read_until(response, deadline)
        return response


def _read_until(response: requests.Response, deadline: float) -> bytes:
    body = bytearray()
    try:
        # What has come so far, piece by piece: reading a fixed amount would wait for a server that drips.
        while piece := response.raw.read1(65536, decode_content=True):
            body += piece
            if time.monotonic() > deadline:
                raise requests.Timeout("the answer took too long")
            if len(body) > MAX_BODY_BYTES:
                raise requests.RequestException(f"more than {MAX_BODY_BYTES} bytes")
    except ReadTimeoutError as error:
        raise requests.Timeout(str(error)) from error
    except HTTPError as error:
        raise requests.ConnectionError(error) from error
    return bytes(body)


class _PublicClient(Client):  # type: ignore[misc]
    """The library's client at any host, without keys and without the greeting to the spot host."""

    def __init__(self, base_url: str, *, total_seconds: float) -> None:
        self._total_seconds = total_seconds
        timeout = (min(CONNECT_SECONDS, total_seconds), total_seconds)
        super().__init__(ping=False, requests_params={"timeout": timeout})
        self.FUTURES_URL = f"{base_url}/fapi"

    def _init_session(self) -> requests.Session:
        session = _BoundedSession(self._total_seconds)
        session.headers.update(self._get_headers())
        return session


class BinanceRest:
    """One host's public interface; use :func:`rest_at`, which keeps one a process so that connections are re-used."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._client = _PublicClient(base_url, total_seconds=TOTAL_SECONDS)
        # Monotonic time until which Binance wants no request.
        self._silent_until = 0.0

    def check(self) -> float:
        """Return the seconds that a ping took; raise FeedError when none came back within 3 s."""
        client = _PublicClient(self.base_url, total_seconds=CHECK_SECONDS)
        started = time.monotonic()
        try:
            self._call(client.futures_ping, seconds=CHECK_SECONDS)
        finally:
            client.session.close()
        return time.monotonic() - started

    def server_time_ms(self) -> int:
        return int(self._field(self._call(self._client.futures_time), "serverTime"))

    def used_weight(self) -> int | None:
        """Return what this address has used of its allowance this minute, as the last answer told; None when it did not."""
        last = self._client.response
        told = "" if last is None else last.headers.get("X-MBX-USED-WEIGHT-1M", "")
        return int(told) if told.isdigit() else None

    def exchange_info(self) -> dict[str, Any]:
        return self._object(self._call(self._client.futures_exchange_info))

    def book_tickers(self, symbol: str | None = None) -> list[dict[str, Any]]:
        """Return best bids and asks, of one symbol or of all; an unknown symbol gives none."""
        return self._rows(self._client.futures_orderbook_ticker, symbol)

    def premium_index(self, symbol: str | None = None) -> list[dict[str, Any]]:
        """Return marks and funding rates, of one symbol or of all; an unknown symbol gives none."""
        return self._rows(self._client.futures_mark_price, symbol)

    def klines(self, symbol: str, interval: str, *, start_ms: int, limit: int) -> list[list[Any]]:
        """Return candles from a time on, oldest first, the open one included."""
        answer = self._call(
            lambda: self._client.futures_klines(
                symbol=symbol, interval=interval, startTime=start_ms, limit=limit
            )
        )
        if not isinstance(answer, list):
            raise self._strange(answer)
        return answer

    def funding_rates(self, symbol: str, *, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
        """Return the settled funding rates of one symbol between two times, both included; at most 1000, oldest first."""
        answer = self._call(
            lambda: self._client.futures_funding_rate(
                symbol=symbol, startTime=start_ms, endTime=end_ms, limit=1000
            )
        )
        if not isinstance(answer, list):
            raise self._strange(answer)
        return [self._object(row) for row in answer]

    def _rows(self, ask: Callable[..., Any], symbol: str | None) -> list[dict[str, Any]]:
        try:
            answer = self._call(lambda: ask(symbol=symbol) if symbol else ask())
        except _UnknownSymbolError:
            return []
        rows = answer if isinstance(answer, list) else [answer]
        return [self._object(row) for row in rows]

    def _object(self, answer: Any) -> dict[str, Any]:
        if not isinstance(answer, dict):
            raise self._strange(answer)
        return answer

    def _field(self, answer: Any, name: str) -> Any:
        if not isinstance(answer, dict) or name not in answer:
            raise self._strange(answer)
        return answer[name]

    def _strange(self, answer: Any) -> FeedError:
        return FeedError(f"Binance answered in an unknown form at {self.base_url}: {answer!r:.120}")

    def _call(self, ask: Callable[[], Any], *, seconds: float = TOTAL_SECONDS) -> Any:
        self._keep_silent()
        try:
            return ask()
        except BinanceAPIException as error:
            raise self._refused(error) from error
        except BinanceRequestException as error:
            raise FeedError(
                f"Binance answered something that is no JSON at {self.base_url}: {_plain(error.message)}"
            ) from error
        except requests.RequestException as error:
            raise FeedError(
                f"Binance did not answer at {self.base_url} within {seconds:g} s: {_cause(error)}"
            ) from error

    def _keep_silent(self) -> None:
        left = self._silent_until - time.monotonic()
        if left > 0:
            raise FeedError(
                f"Binance at {self.base_url} wants no request for another {left:.0f} s",
                retry_after=left,
            )

    def _refused(self, error: BinanceAPIException) -> FeedError:
        status = int(error.status_code)
        if status in _DEFAULT_WAIT:
            wait = _retry_after(error.response, _DEFAULT_WAIT[status])
            self._silent_until = time.monotonic() + wait
            logger.warning("binance asks to wait status=%s seconds=%.0f", status, wait)
            return FeedError(
                f"Binance at {self.base_url} asked to wait {wait:.0f} s (HTTP {status})",
                retry_after=wait,
            )
        if error.code == _UNKNOWN_SYMBOL:
            return _UnknownSymbolError("Binance does not know the symbol", permanent=True)
        shown = f"{error.code} {error.message}" if error.code else _plain(error.response.text)
        return FeedError(
            f"Binance answered HTTP {status} at {self.base_url}: {shown}",
            permanent=400 <= status < 500,
        )


class _UnknownSymbolError(FeedError):
    """Binance has no such symbol."""


def _retry_after(response: requests.Response, default: float) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), 3600.0) if text.isdigit() else default


def _plain(text: str) -> str:
    """Return the words of a page, short."""
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())[:120] or "an empty body"


def _cause(error: BaseException) -> str:
    """Return the innermost reason: the library wraps it three times."""
    if isinstance(error, requests.Timeout):
        return "timed out"
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        inner = [item for item in seen.args if isinstance(item, BaseException)]
        reason = getattr(seen, "reason", None)
        seen = (
            reason if isinstance(reason, BaseException) else inner[0] if inner else seen.__cause__
        )
    return str(error)[:120] or type(error).__name__


_kept: dict[str, BinanceRest] = {}
_keeping = threading.Lock()


def rest_at(base_url: str) -> BinanceRest:
    """Return the process's client of a host."""
    with _keeping:
        if base_url not in _kept:
            _kept[base_url] = BinanceRest(base_url)
        return _kept[base_url]
