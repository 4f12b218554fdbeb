from __future__ import annotations

import json
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.domain.decisions import (
    ORDER_FIELDS,
    TRAILING_FIELDS,
    Action,
    Instruction,
    ParseStatus,
    decision_text,
    instruction_from_json,
    instruction_json,
)
from agents.domain.parsing import parse_decision
from marketdata.domain.canonical import canonical_json
from trading.domain.intents import OrderKind, TimeInForce

SYMBOLS = ("BTCUSDT", "ETHUSDT")
OPEN = {
    "action": "open_long",
    "symbol": "BTCUSDT",
    "notional": "1000.50",
    "leverage": 3,
    "stop_loss": 58000.5,
    "take_profit": "64000",
    "invalidation": "a close below 58000",
    "confidence": 0.62,
    "reasoning": 'It {may} rise, "they" say ```so``` [1].',
}
GOOD = json.dumps({"summary": "Calm.", "instructions": [OPEN, {"action": "hold"}]})


def parse(text: str, **options):
    return parse_decision(text, symbols=SYMBOLS, **options)


def with_open(**changes) -> str:
    entry = {"action": "open_long", "symbol": "BTCUSDT", "notional": "100", **changes}
    return json.dumps({"instructions": [{k: v for k, v in entry.items() if v is not ...}]})


def raw_open(fields: str) -> str:
    return '{"instructions": [{"action": "open_long", "symbol": "BTCUSDT", ' + fields + "}]}"


def test_a_whole_decision_is_read_exactly():
    read = parse(GOOD)

    assert read.status is ParseStatus.VALID
    assert read.summary == "Calm."
    assert read.instructions == (
        Instruction(
            action=Action.OPEN_LONG,
            symbol="BTCUSDT",
            notional=Decimal("1000.5"),
            leverage=3,
            stop_loss=Decimal("58000.5"),
            take_profit=Decimal("64000"),
            invalidation="a close below 58000",
            confidence=Decimal("0.62"),
            reasoning='It {may} rise, "they" say ```so``` [1].',
        ),
        Instruction(action=Action.HOLD),
    )
    assert (read.repairs, read.error) == ((), "")


def test_json_numbers_keep_every_digit():
    # A float would keep 17 of these digits.
    read = parse(raw_open('"quantity": 0.123456789012345678901234'))

    assert read.instructions[0].quantity == Decimal("0.123456789012345678901234")


VALID = {
    "empty list holds": '{"summary": "wait", "instructions": []}',
    "no summary": '{"instructions": []}',
    "null summary": '{"summary": null, "instructions": []}',
    "surrounding blanks": f"\n\n  {GOOD}\t\n",
    "byte order mark": "\ufeff" + GOOD,
    "nulls for what is not given": with_open(
        quantity=None, margin_fraction=None, leverage=None, stop_loss=None, confidence=None
    ),
    "size as quantity": with_open(notional=..., quantity=0.5),
    "size as margin fraction": with_open(notional=..., margin_fraction="0.1"),
    "open short": with_open(action="open_short"),
    "leverage as text": with_open(leverage="5"),
    "leverage 5.0": with_open(leverage=5.0),
    "exponent within bounds": raw_open('"notional": 1e3'),
    "unknown symbol stays for the risk check": with_open(symbol="DOGEUSDT"),
    "close": '{"instructions": [{"action": "close", "symbol": "BTCUSDT"}]}',
    "reduce without size": '{"instructions": [{"action": "reduce", "symbol": "BTCUSDT"}]}',
    "reduce by quantity": '{"instructions": [{"action": "reduce", "symbol": "BTCUSDT", "quantity": 1}]}',
    "set exits": '{"instructions": [{"action": "set_exits", "symbol": "BTCUSDT", "stop_loss": 1}]}',
    "hold of a symbol": '{"instructions": [{"action": "hold", "symbol": "BTCUSDT"}]}',
    "sixteen instructions": json.dumps({"instructions": [{"action": "hold"}] * 16}),
    "zero size is the risk check's business": with_open(notional=0),
    "negative size too": with_open(notional="-5"),
    "escaped text": '{"summary": "a\\u00e9\\n\\"b\\"", "instructions": []}',
}


@pytest.mark.parametrize("text", VALID.values(), ids=VALID.keys())
def test_sound_decisions_are_valid(text):
    read = parse(text)

    assert (read.status, read.error, read.repairs) == (ParseStatus.VALID, "", ())


REPAIRED = {
    "fence": (f"```json\n{GOOD}\n```", "fence taken off"),
    "fence without language": (f"```\n{GOOD}\n```", "fence taken off"),
    "fence in prose": (f"Here:\n```json\n{GOOD}\n```\nGood luck!", "text around the fenced block"),
    "prose round the object": (f"My decision is {GOOD} and that is final.", "text around the JSON"),
    "prose after": (f"{GOOD}\nDone.", "text around the JSON"),
    "prose before, with quotes": (f'It\'s "clear": {GOOD}', "text around the JSON"),
    "thinking before": (f"<think>maybe {{x}}</think>\n{GOOD}", "thinking before the answer"),
    "trailing comma in a list": ('{"instructions": [{"action": "hold"},]}', "trailing commas"),
    "trailing comma in an object": ('{"instructions": [], }', "trailing commas"),
    "trailing comma in a fence": ('```\n{"instructions": [],}\n```', "trailing commas"),
    "symbol in small letters": (with_open(symbol="btcusdt"), "read as BTCUSDT"),
    "symbol with blanks": (with_open(symbol=" BTCUSDT "), "read as BTCUSDT"),
}


@pytest.mark.parametrize(("text", "repair"), REPAIRED.values(), ids=REPAIRED.keys())
def test_small_slips_are_mended_and_told(text, repair):
    read = parse(text)

    assert read.status is ParseStatus.REPAIRED
    assert any(repair in told for told in read.repairs)
    assert read.error == ""


def test_commas_inside_texts_are_left_alone_by_the_repair():
    read = parse('{"summary": "a,} b,]", "instructions": [],}')

    assert (read.status, read.summary) == (ParseStatus.REPAIRED, "a,} b,]")


INVALID = {
    "empty": ("", "the answer is empty"),
    "blanks": (" \n ", "the answer is empty"),
    "prose": ("Buy 2 BTC now!", "found no JSON object"),
    "prose with numbers": ("action: open_long, symbol: BTCUSDT", "found no JSON object"),
    "a list": ("[]", "found a list of 0, one JSON object is wanted"),
    "a list of decisions": (f"[{GOOD}]", "found a list of 1"),
    "a bare number": ("42", "found no JSON object"),
    "an object of something else": ('{"signal": "buy"}', "found 'signal' in the object"),
    "an empty object": ("{}", "found no keys in the object"),
    "two objects": (GOOD + GOOD, "found 2 objects"),
    "two objects in prose": (f"Either {GOOD} or {GOOD}", "found 2 objects"),
    "two fenced blocks": (f"```\n{GOOD}\n```\n```\n{GOOD}\n```", "found 4 lines of ```"),
    "a fence and another object": (f"See {{x}}:\n```\n{GOOD}\n```", "another object beside it"),
    "a fence that never closes": (f"```json\n{GOOD}", "found 1 lines of ```"),
    "two objects in one fence": (f"```\n{GOOD}{GOOD}\n```", "found 2 objects"),
    "an object that is cut": (GOOD[:-1], "the answer ends inside it"),
    "a text that is cut": ('{"summary": "abc', "the answer ends inside it"),
    "single quotes": ("{'instructions': []}", "not JSON at line 1 column 2"),
    "a comment": ('{"instructions": [] /* all */}', "not JSON"),
    "a missing comma": ('{"summary": "x" "instructions": []}', "not JSON"),
    "duplicate keys at the top": ('{"instructions": [], "instructions": []}', "written twice"),
    "duplicate keys below": (
        raw_open('"notional": 1, "notional": 100'),
        "instructions[0]: key 'notional' is written twice",
    ),
    "unknown key at the top": ('{"instructions": [], "note": 1}', "unknown key 'note'"),
    "unknown key below": (with_open(size=1), "instructions[0]: found the unknown key 'size'"),
    "instructions as an object": ('{"instructions": {}}', "instructions: found an object of 0"),
    "instructions as null": ('{"instructions": null}', "instructions: found null, a list"),
    "an instruction as text": ('{"instructions": ["hold"]}', "instructions[0]: found 'hold'"),
    "seventeen instructions": (
        json.dumps({"instructions": [{"action": "hold"}] * 17}),
        "found 17, at most 16",
    ),
    "summary as number": ('{"summary": 1, "instructions": []}', "summary: found 1, text is wanted"),
    "no action": (
        '{"instructions": [{"symbol": "BTCUSDT"}]}',
        "instructions[0].action: found null",
    ),
    "action in capitals": (with_open(action="OPEN_LONG"), "found 'OPEN_LONG', one of open_long"),
    "unknown action": (with_open(action="buy"), "instructions[0].action: found 'buy'"),
    "action as a list": (with_open(action=["open_long"]), "found a list of 1"),
    "no symbol": (with_open(symbol=...), "instructions[0].symbol: found null, a symbol"),
    "empty symbol": (with_open(symbol=""), "a symbol is wanted"),
    "symbol as number": (with_open(symbol=7), "instructions[0].symbol: found 7, text"),
    "no size": (with_open(notional=...), "found no size, exactly one of"),
    "two sizes": (with_open(quantity=1), "found quantity, notional, exactly one of"),
    "close with a size": (
        '{"instructions": [{"action": "close", "symbol": "BTCUSDT", "quantity": 1}]}',
        "no size for close is wanted",
    ),
    "hold with a size": (
        '{"instructions": [{"action": "hold", "notional": 5}]}',
        "no size for hold",
    ),
    "reduce with two sizes": (
        '{"instructions": [{"action": "reduce", "symbol": "BTCUSDT", "quantity": 1, "notional": 1}]}',
        "at most one of",
    ),
    "size as boolean": (with_open(notional=True), "instructions[0].notional: found true"),
    "size as list": (with_open(notional=[1]), "found a list of 1, a decimal number"),
    "size as words": (with_open(notional="half"), "found 'half', a finite decimal"),
    "size with grouping": (with_open(notional="1,000"), "found '1,000'"),
    "size with a unit": (with_open(notional="100 USDT"), "found '100 USDT'"),
    "size in percent": (with_open(notional="10%"), "found '10%'"),
    "size as empty text": (with_open(notional=""), "a finite decimal number"),
    "size in other digits": (with_open(notional="١٢"), "a finite decimal number"),
    "NaN": (raw_open('"notional": NaN'), "instructions[0].notional: found 'NaN'"),
    "Infinity": (raw_open('"notional": Infinity'), "found 'Infinity'"),
    "minus Infinity": (raw_open('"notional": -Infinity'), "found '-Infinity'"),
    "NaN as text": (with_open(notional="NaN"), "found 'NaN'"),
    "NaN where nothing reads it": ('{"instructions": [], "x": NaN}', "x: found 'NaN'"),
    "exponent too large": (raw_open('"notional": 1e13'), "an exponent within +-12"),
    "exponent huge": (raw_open('"notional": 1e999999999'), "an exponent within +-12"),
    "exponent too small": (raw_open('"notional": 1e-13'), "an exponent within +-12"),
    "31 digits": (raw_open(f'"notional": {"1" * 31}'), "at most 30 digits"),
    "a million digits": (raw_open(f'"notional": {"1" * 60000}'), "at most 30 digits"),
    "too many decimals": (raw_open(f'"notional": 0.{"0" * 25}1'), "at most 24 decimals"),
    "too large": (raw_open('"notional": 1000000000000000'), "a number below 1e15"),
    "leverage with a fraction": (with_open(leverage=2.5), "leverage: found 2.5, a whole number"),
    "leverage negative": (with_open(leverage=-1), "leverage: found -1"),
    "leverage out of all bounds": (with_open(leverage=1001), "from 0 to 1000"),
    "leverage as boolean": (with_open(leverage=True), "leverage: found true"),
    "stop at zero": (with_open(stop_loss=0), "stop_loss: found 0, a price above 0"),
    "target below zero": (with_open(take_profit=-3), "take_profit: found -3"),
    "confidence in percent": (
        with_open(confidence=85),
        "confidence: found 85, a number from 0 to 1",
    ),
    "confidence as words": (with_open(confidence="high"), "confidence: found 'high'"),
    "reasoning as a list": (with_open(reasoning=["a"]), "reasoning: found a list of 1, text"),
    "nested too deep": ('{"instructions": [[[[[[[[[]]]]]]]]]}', "deeper than 8"),
    "nested without end": ('{"instructions": ' + "[" * 50_000, "deeper than 8"),
    "nested in a fence": ("```\n{" + '"a":[' * 5000 + "\n```", "deeper than 8"),
    "too long": (json.dumps({"summary": "x" * 65536, "instructions": []}), "more than 64 KiB"),
    "too long in bytes": (
        json.dumps({"summary": "é" * 40000, "instructions": []}, ensure_ascii=False),
        "more than 64 KiB",
    ),
    "raw newline in a text": ('{"summary": "a\nb", "instructions": []}', "not JSON"),
}


@pytest.mark.parametrize(("text", "error"), INVALID.values(), ids=INVALID.keys())
def test_anything_else_is_invalid_and_told_where(text, error):
    read = parse(text)

    assert read.status is ParseStatus.INVALID
    assert error in read.error
    assert len(read.error) <= 500
    assert read.error.isprintable()
    assert read.instructions == ()


def test_an_answer_cut_at_any_byte_never_trades():
    whole = GOOD.encode()
    for length in range(len(whole)):
        cut = whole[:length].decode("utf-8", "ignore")
        assert parse(cut).instructions == (), length
        assert parse(f"Well: {cut}").instructions == (), length
        assert parse(f"```json\n{cut}").instructions == (), length


def test_a_fenced_answer_cut_at_any_byte_never_trades():
    whole = f"```json\n{GOOD}\n```"
    for length in range(len(whole)):
        assert parse(whole[:length]).instructions == (), length


def test_a_truncated_answer_never_trades_even_when_it_looks_whole():
    read = parse(GOOD, truncated=True)

    assert (read.status, read.instructions) == (ParseStatus.INVALID, ())
    assert "cut at the token limit" in read.error


def test_texts_are_capped_and_freed_of_what_a_database_refuses():
    entry = {
        "action": "hold",
        "symbol": "X" * 50,
        "reasoning": "r" * 5000,
        "invalidation": "i" * 600,
    }
    text = json.dumps({"summary": "a\x00b\ud800c" + "s" * 3000, "instructions": [entry]})
    read = parse(text)

    assert read.status is ParseStatus.VALID
    assert read.summary.startswith("a\ufffdb\ufffdc")
    assert len(read.summary) == 2000
    wish = read.instructions[0]
    assert [len(wish.symbol), len(wish.reasoning), len(wish.invalidation)] == [32, 4000, 500]


def test_canonical_instructions_survive_a_round_trip():
    wish = parse(GOOD).instructions[0]

    fields = json.loads(canonical_json(instruction_json(wish)))

    assert fields["action"] == "open_long"
    assert fields["notional"] == "1000.5"
    assert "quantity" not in fields
    assert instruction_from_json(fields) == wish


def test_a_decision_text_is_read_as_it_was_meant():
    wishes = parse(GOOD).instructions

    read = parse(decision_text("Calm.", wishes))

    assert (read.status, read.instructions) == (ParseStatus.VALID, wishes)


LIMIT = {
    "action": "open_long",
    "symbol": "BTCUSDT",
    "notional": "100",
    "order_type": "limit",
    "limit_price": "58000.5",
    "time_in_force": "post_only",
    "trailing_stop_pct": 1.5,
    "trailing_activation": "62000",
}


def parse_one(entry: dict, *, resting_orders: bool = True):
    return parse(json.dumps({"instructions": [entry]}), resting_orders=resting_orders)


def test_an_order_that_rests_is_read_exactly_and_survives_a_round_trip():
    (wish,) = parse_one(LIMIT).instructions

    assert wish == Instruction(
        action=Action.OPEN_LONG,
        symbol="BTCUSDT",
        notional=Decimal(100),
        order_type=OrderKind.LIMIT,
        limit_price=Decimal("58000.5"),
        time_in_force=TimeInForce.POST_ONLY,
        trailing_stop_pct=Decimal("1.5"),
        trailing_activation=Decimal(62000),
    )
    fields = json.loads(canonical_json(instruction_json(wish)))
    assert fields["order_type"] == "limit"
    assert fields["time_in_force"] == "post_only"
    assert instruction_from_json(fields) == wish
    assert parse(decision_text("", [wish]), resting_orders=True).instructions == (wish,)


def test_a_market_order_is_written_as_before_there_were_others():
    plain = {"action": "open_long", "symbol": "BTCUSDT", "notional": "100"}
    (wish,) = parse_one({**plain, "order_type": "market", "limit_price": None}).instructions
    assert instruction_json(wish) == plain


@pytest.mark.parametrize(
    "entry",
    [
        {**LIMIT, "order_type": "stop_market", "limit_price": None, "trigger_price": 1}
        | {"time_in_force": None},
        {"action": "close", "symbol": "X", "order_type": "take_profit_market", "trigger_price": 1},
        {"action": "reduce", "symbol": "X", "order_type": "trailing_stop", "callback_rate": 5}
        | {"quantity": 1, "activation_price": 9},
        {"action": "set_exits", "symbol": "X", "trailing_stop_pct": 2},
        {"action": "cancel_orders", "symbol": "X"},
        {"action": "cancel_orders"},
        {"action": "hold", "order_type": None, "trailing_stop_pct": None},
    ],
)
def test_sound_orders_that_rest(entry: dict):
    assert parse_one(entry).error == ""


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"order_type": "LIMIT"}, "instructions[0].order_type: found 'LIMIT', one of market, "),
        ({"order_type": 7}, "order_type: found 7, one of market, limit, stop_market"),
        ({"order_type": ["limit"]}, "order_type: found a list of 1, one of"),
        ({"limit_price": None}, "limit_price: found null, a number above 0 for limit"),
        ({"limit_price": 0}, "limit_price: found 0, a price above 0"),
        ({"limit_price": True}, "limit_price: found true, a decimal number"),
        ({"limit_price": "NaN"}, "limit_price: found 'NaN', a finite decimal number"),
        ({"limit_price": "9" * 40}, "a number of at most 30 digits"),
        ({"limit_price": "1e13"}, "an exponent within +-12"),
        ({"trigger_price": 5}, "trigger_price: found 5, none for limit"),
        ({"order_type": "stop_market"}, "time_in_force: found 'post_only', none for stop_market"),
        ({"time_in_force": "fok"}, "time_in_force: found 'fok', one of gtc, ioc, post_only"),
        ({"trailing_stop_pct": None}, "found trailing_activation alone, trailing_stop_pct is"),
        ({"trailing_stop_pct": "-1"}, "trailing_stop_pct: found -1, a price above 0"),
        ({"action": "hold", "notional": None}, "order_type: found 'limit', none for hold"),
        (
            {"action": "cancel_orders", "notional": None, "order_type": None, "limit_price": None}
            | {"time_in_force": None},
            "trailing_stop_pct: found 1.5, none for cancel_orders",
        ),
        ({"action": "close", "notional": None}, "trailing_stop_pct: found 1.5, none for close"),
        ({"callback": 1}, "found the unknown key 'callback', known are action, symbol"),
    ],
)
def test_an_order_that_rests_is_never_guessed(changes: dict, error: str):
    read = parse_one({**LIMIT, **changes})
    assert read.status is ParseStatus.INVALID
    assert error in read.error
    assert read.instructions == ()


@pytest.mark.parametrize("name", ["order_type", "limit_price", "trailing_stop_pct"])
def test_where_no_order_rests_the_words_are_unknown(name: str):
    entry = {"action": "open_long", "symbol": "BTCUSDT", "notional": 1, name: None}
    read = parse_one(entry, resting_orders=False)
    assert f"found the unknown key '{name}', known are action, symbol" in read.error
    assert read.error.endswith("confidence, reasoning")


def test_where_no_order_rests_none_is_cancelled():
    read = parse_one({"action": "cancel_orders"}, resting_orders=False)
    assert read.error.endswith("close, reduce, hold, set_exits is wanted")


@given(st.text(max_size=400))
def test_junk_never_raises_and_never_trades(text):
    read = parse(text)

    assert read.status is not ParseStatus.VALID or read.instructions == ()


@given(st.integers(0, len(GOOD)), st.text(max_size=8), st.integers(0, 20))
def test_mutated_answers_never_raise(at, noise, cut):
    parse(GOOD[:at] + noise + GOOD[at + cut :])


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@given(
    JSON, st.sampled_from(["action", "symbol", "notional", "leverage", "reasoning", "confidence"])
)
def test_any_value_in_any_field_never_raises(value, name):
    parse(json.dumps({"instructions": [{**OPEN, name: value}]}))


@given(JSON, st.sampled_from([*ORDER_FIELDS, *TRAILING_FIELDS]))
def test_any_value_in_any_field_of_a_resting_order_never_raises(value, name):
    read = parse_one({**LIMIT, name: value})
    assert read.status is not ParseStatus.INVALID or read.error


@pytest.mark.parametrize(
    "text",
    [
        '"\\' * 32_000,
        "{" + '"' * 60_000,
        '{"a": "' + '\\"' * 30_000,
        '{"a": 1' + "," * 60_000 + "}",
        '{"a": 1, ' + " " * 60_000 + "}",
        "`" * 60_000,
        "```\n" * 15_000,
        "{}" * 30_000,
        "{{ " * 20_000,
        '{"instructions": [], ' + ", ".join(f'"k{n}": {n}' for n in range(4500)) + "}",
    ],
    ids=range(10),
)
def test_pathological_answers_are_cheap(text):
    started = time.process_time()

    assert parse(text).instructions == ()

    assert time.process_time() - started < 0.25
