"""The tape's text: canonical, and read back as it was."""

from __future__ import annotations

import pytest

from marketdata.domain.facts import Quote, Timeframe
from tests.trading.builders import T0, D, at
from trading.domain.tape import NamedBars, TapeEvent, decode_tape, encode_tape

EVENTS = [
    TapeEvent.of_quote(Quote("XUSDT", T0, D("99.50"), D("100.5"), D("100"))),
    TapeEvent.of_marks(T0, {"YUSDT": D("7.10"), "XUSDT": D(100)}),
    TapeEvent.of_ticks(T0, {"XUSDT": Quote("XUSDT", T0, D(99), D(101), D("100.0"))}),
    TapeEvent.of_bars(T0, at(2), {"XUSDT": NamedBars(Timeframe.M1, 2, "ab12", D("7.50"))}),
    TapeEvent.of_funding(T0, "XUSDT", D("-0.0001"), D(100)),
    TapeEvent.of_night(T0, {"XUSDT": D(99)}),
]

TEXT = (
    '["quote","2026-03-01T12:00:00Z","XUSDT","99.5","100.5","100"]\n'
    '["marks","2026-03-01T12:00:00Z",{"XUSDT":"100","YUSDT":"7.1"}]\n'
    '["ticks","2026-03-01T12:00:00Z",{"XUSDT":["99","101","100"]}]\n'
    '["bars","2026-03-01T12:00:00Z","2026-03-01T12:02:00Z",{"XUSDT":["1m",2,"ab12","7.5"]}]\n'
    '["funding","2026-03-01T12:00:00Z","XUSDT","-0.0001","100"]\n'
    '["night","2026-03-01T12:00:00Z",{"XUSDT":"99"}]\n'
)


def test_one_canonical_line_an_event():
    assert encode_tape(EVENTS) == TEXT


def test_what_was_written_is_read():
    assert decode_tape(TEXT) == EVENTS
    assert decode_tape("") == []


def test_every_event_tells_its_marks():
    assert [dict(event.marks) for event in EVENTS] == [
        {"XUSDT": D(100)},
        {"XUSDT": D(100), "YUSDT": D("7.1")},
        {"XUSDT": D(100)},
        {"XUSDT": D("7.5")},
        {"XUSDT": D(100)},
        {"XUSDT": D(99)},
    ]


def test_any_changed_digit_changes_the_text():
    other = [TapeEvent.of_quote(Quote("XUSDT", T0, D("99.5"), D("100.5"), D("100.1")))]
    assert encode_tape(EVENTS[:1]) != encode_tape(other)


@pytest.mark.parametrize("line", ['["trade","2026-03-01T12:00:00Z"]', '{"quote":1}', "[]"])
def test_a_line_that_is_no_event_is_named(line: str):
    with pytest.raises(
        ValueError, match="tape line 2 is none of quote, marks, ticks, bars, funding"
    ):
        decode_tape(TEXT.splitlines()[0] + "\n" + line)


def test_a_change_of_state_is_a_line_that_tells_no_marks():
    event = TapeEvent.of_state(T0, "PAUSED")
    text = encode_tape([event])
    assert text == '["state","2026-03-01T12:00:00Z","PAUSED"]\n'
    assert decode_tape(text) == [event]
    assert event.marks == {}
