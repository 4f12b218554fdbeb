"""Binance's public USD-M REST interface on loopback: truthful answers, and any fault asked for.

    with BinanceServer() as server:
        server.price["BTCUSDT"] = Decimal("100000")
        server.fault = "ban"          # or another of FAULTS; None for none
        feed.base_url = server.url

Candles are a function of symbol and time; the last one returned is still open, as on the real thing.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

SECONDS = {"1m": 60, "3m": 180, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}
TICKS = {
    "BTCUSDT": "0.10",
    "ETHUSDT": "0.01",
    "SOLUSDT": "0.01",
    "BNBUSDT": "0.01",
    "XRPUSDT": "0.0001",
    "DOGEUSDT": "0.00001",
    "1000PEPEUSDT": "0.0000001",
}


class BinanceServer:
    """The server and what tests may set on it."""

    FAULTS: ClassVar[tuple[str, ...]] = (
        "slow",
        "drip",
        "rate",
        "ban",
        "html",
        "garbage",
        "empty",
        "redirect",
        "odd",
    )

    def __init__(self) -> None:
        self.fault: str | None = None
        self.price = {"BTCUSDT": Decimal("97500.0"), "ETHUSDT": Decimal("3420.00")}
        # Seconds that the time stamps of quotes lie behind, and that the server's clock does.
        self.quote_age = 0.0
        self.clock_lag = 0.0
        self.used_weight = 41
        # The first candle that exists, in seconds since the epoch.
        self.listed_at = 0
        self.mark_factor = Decimal(1)
        # Settled funding: times in milliseconds, each with its rate, the same for all symbols.
        self.stamps: dict[int, str] = {}
        self.counts: Counter[str] = Counter()
        self.queries: list[tuple[str, dict[str, str]]] = []
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> BinanceServer:
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def now_ms(self) -> int:
        return int((time.time() - self.clock_lag) * 1000)

    def book(self, symbol: str) -> dict[str, Any]:
        tick, price = Decimal(TICKS[symbol]), self.price[symbol]
        return {
            "symbol": symbol,
            "bidPrice": str(price - tick),
            "bidQty": "12.5",
            "askPrice": str(price + tick),
            "askQty": "3.1",
            "time": self.now_ms() - int(self.quote_age * 1000),
        }

    def premium(self, symbol: str) -> dict[str, Any]:
        now = self.now_ms()
        return {
            "symbol": symbol,
            "markPrice": str(self.price[symbol] * self.mark_factor),
            "indexPrice": str(self.price[symbol]),
            "estimatedSettlePrice": str(self.price[symbol]),
            "lastFundingRate": "0.00010000",
            "interestRate": "0.00010000",
            "nextFundingTime": now - now % 28_800_000 + 28_800_000,
            "time": now - int(self.quote_age * 1000),
        }

    def klines(self, query: dict[str, str]) -> list[list[Any]]:
        step = SECONDS[query["interval"]] * 1000
        limit = int(query.get("limit", "500"))
        first = max(int(query.get("startTime", "0")), self.listed_at * 1000)
        first += -first % step
        opens = range(first, self.now_ms() + 1, step)[:limit]
        return [kline(opened, step) for opened in opens]

    def funding_rates(self, query: dict[str, str]) -> list[dict[str, Any]]:
        first, last = int(query["startTime"]), int(query["endTime"])
        return [
            {
                "symbol": query["symbol"],
                "fundingTime": stamp,
                "fundingRate": rate,
                "markPrice": str(self.price[query["symbol"]]),
            }
            for stamp, rate in sorted(self.stamps.items())
            if first <= stamp <= last
        ]

    def exchange_info(self) -> dict[str, Any]:
        return {
            "timezone": "UTC",
            "serverTime": self.now_ms(),
            "futuresType": "U_MARGINED",
            "rateLimits": [],
            "exchangeFilters": [],
            "assets": [],
            "symbols": [
                *(symbol_fields(symbol, "TRADING") for symbol in TICKS),
                symbol_fields("OLDUSDT", "SETTLING", tick="0.01"),
            ],
        }


def kline(opened_ms: int, step_ms: int) -> list[Any]:
    """Return the candle that opens then: opens at 1000 + minutes since the epoch modulo 500, and closes one higher."""
    price = 1000 + opened_ms // 60_000 % 500
    return [
        opened_ms,
        f"{price}.0",
        f"{price + 2}.5",
        f"{price - 1}.0",
        f"{price + 1}.0",
        "10.250",
        opened_ms + step_ms - 1,
        "10250.0",
        42,
        "5.0",
        "5000.0",
        "0",
    ]


def symbol_fields(symbol: str, status: str, *, tick: str | None = None) -> dict[str, Any]:
    base = symbol.removesuffix("USDT")
    return {
        "symbol": symbol,
        "pair": symbol,
        "contractType": "PERPETUAL",
        "status": status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        # On purpose not the tick's digits, as in the real list.
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": "0.01",
                "maxPrice": "4529764",
                "tickSize": tick or TICKS[symbol],
            },
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": "0.001",
                "maxQty": "120",
                "stepSize": "0.001",
            },
            {"filterType": "MIN_NOTIONAL", "notional": "100"},
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


class _Handler(BaseHTTPRequestHandler):
    owner: ClassVar[BinanceServer]
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.owner.counts[parts.path] += 1
        self.owner.queries.append((parts.path, query))
        if self.owner.fault:
            self._fail(self.owner.fault)
            return
        self._answer(parts.path, query)

    def _answer(self, path: str, query: dict[str, str]) -> None:
        owner, symbol = self.owner, query.get("symbol")
        if symbol is not None and symbol not in owner.price and "klines" not in path:
            self._send(400, {"code": -1121, "msg": "Invalid symbol."})
        elif path == "/fapi/v1/ping":
            self._send(200, {})
        elif path == "/fapi/v1/time":
            self._send(200, {"serverTime": owner.now_ms()})
        elif path == "/fapi/v1/exchangeInfo":
            self._send(200, owner.exchange_info())
        elif path == "/fapi/v1/ticker/bookTicker":
            self._send(200, self._one_or_all(symbol, owner.book))
        elif path == "/fapi/v1/premiumIndex":
            self._send(200, self._one_or_all(symbol, owner.premium))
        elif path == "/fapi/v1/fundingRate":
            self._send(200, owner.funding_rates(query))
        elif path == "/fapi/v1/klines":
            self._send(200, owner.klines(query))
        else:
            self._send(404, {"code": -5000, "msg": f"Path {path}, Method GET is invalid"})

    def _one_or_all(self, symbol: str | None, make: Any) -> Any:
        return make(symbol) if symbol else [make(name) for name in self.owner.price]

    def _fail(self, fault: str) -> None:
        if fault == "slow":
            time.sleep(30)
        elif fault == "drip":
            self._drip()
        elif fault == "rate":
            self._send(429, {"code": -1003, "msg": "Too many requests."}, {"Retry-After": "7"})
        elif fault == "ban":
            self._send(418, {"code": -1003, "msg": "Way too many requests; IP banned."})
        elif fault == "html":
            self._send_bytes(502, b"<html><h1>502 Bad Gateway</h1></html>", {})
        elif fault == "garbage":
            self._send_bytes(200, b"{half a", {})
        elif fault == "empty":
            self._send_bytes(200, b"", {})
        elif fault == "redirect":
            self._send_bytes(302, b"", {"Location": "http://127.0.0.1:9/elsewhere"})
        else:
            self._send(200, [{"unexpected": True}])

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(1000):
            try:
                self.wfile.write(b" ")
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.1)

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._send_bytes(status, json.dumps(body).encode(), headers or {})

    def _send_bytes(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("X-MBX-USED-WEIGHT-1M", str(self.owner.used_weight))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
