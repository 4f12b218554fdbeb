"""How figures, times and strangers' texts are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from competitions.selectors.shown import monogram, shown, spelled_out
from competitions.templatetags import arena_format as write
from competitions.templatetags.arena_marks import pill, ring, seal, seal_path

D = Decimal
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (D("10421.334"), "10,421.33"),
        (D("-4.2"), "\u22124.20"),
        # Halves go to the even neighbour.
        (D("0.125"), "0.12"),
        (D("0.135"), "0.14"),
        # Too small to be seen: no sign, no colour.
        (D("-0.001"), "0.00"),
        (D(0), "0.00"),
        (None, "—"),
    ],
)
def test_money_has_two_decimals_and_unknown_is_a_dash(value, text):
    assert write.usd(value) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (D("0.0842"), "+8.42\u00a0%"),
        (D("-0.0679"), "\u22126.79\u00a0%"),
        (D("-0.000001"), "0.00\u00a0%"),
        (None, "—"),
    ],
)
def test_returns_carry_their_sign(fraction, text):
    assert write.signed_pct(fraction) == text


@pytest.mark.parametrize(
    ("value", "grid", "text"),
    [
        (D("118432.1"), D("0.1"), "118,432.1"),
        (D("4316"), D("0.01"), "4,316.00"),
        (D("0.24"), D("0.00001"), "0.24000"),
        (D("61000"), D("1"), "61,000"),
        (D("61000"), D("10"), "61,000"),
        # A symbol that is no longer traded has no grid: all digits it has.
        (D("0.50"), None, "0.5"),
        (D("1E+3"), None, "1,000"),
        (None, D("0.1"), "—"),
    ],
)
def test_prices_and_quantities_have_the_decimals_of_their_grid(value, grid, text):
    assert write.on_grid(value, grid) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (45, "45 s"),
        (59.9, "59 s"),
        (720, "12 m"),
        (22_500, "6 h 15 m"),
        (3_600, "1 h"),
        (374_400, "4 d 8 h"),
        (-5, "0 s"),
    ],
)
def test_durations_have_at_most_two_units(seconds, text):
    assert write.duration(seconds).replace("\u00a0", " ") == text
    assert write.duration(timedelta(seconds=seconds)).replace("\u00a0", " ") == text


def test_times_are_utc_and_absolute():
    other_zone = NOON.astimezone(tz=datetime.fromisoformat("2026-01-01T00:00:00+05:30").tzinfo)
    assert write.stamp(other_zone) == "21 Nov 12:00"
    assert write.iso(other_zone) == "2026-11-21T12:00:00Z"
    assert write.stamp(None) == "—"


def test_countdowns_end_at_zero():
    assert write.countdown(timedelta(seconds=372)) == "06:12"
    assert write.countdown(timedelta(seconds=3_972)) == "1:06:12"
    assert write.countdown(timedelta(seconds=-3)) == "00:00"


def test_time_after_the_opening():
    assert write.after(NOON + timedelta(seconds=31.24), NOON) == "+31.2\u00a0s"
    assert write.after(NOON + timedelta(minutes=8, seconds=48), NOON) == "+8\u00a0m\u00a048\u00a0s"
    assert write.after(None, NOON) == "—"


def test_gains_have_arrow_word_and_exact_value():
    assert write.gain(D("421.331")) == ('<span class="pn up" data-value="421.331">+421.33</span>')
    assert 'class="pn down"' in write.gain_pct(D("-0.0679"))
    assert 'class="pn zero"' in write.gain(D("0.0004"))
    assert write.gain(None) == '<span class="muted">—</span>'


@pytest.mark.parametrize(
    ("value", "text"), [(D("1E-8"), "0.00000001"), (D("1E+3"), "1000"), (7, "7"), (None, "")]
)
def test_machines_get_plain_notation(value, text):
    assert write.plain(value) == text


def test_leverage_and_slippage():
    assert write.times(10) == "10\u00d7"
    assert write.times(D("1.50")) == "1.5\u00d7"
    assert write.bp(D("0.00003")) == "0.3\u00a0bp"


def test_invisible_characters_are_taken_out_of_names_and_named_in_raw_texts():
    # Right-to-left override, zero-width space, a C1 control and a tag character.
    text = "GPT\u202e-6\u200b\u0085\U000e0041"
    assert shown(text) == "GPT-6"
    assert spelled_out(text) == "GPT⟨U+202E⟩-6⟨U+200B⟩⟨U+0085⟩⟨U+E0041⟩"
    assert spelled_out("a\r\nb\tc") == "a\nb\tc"


def test_long_texts_are_cut_with_an_ellipsis():
    assert shown("abcdefghij", limit=5) == "abcd…"
    assert shown("abcde", limit=5) == "abcde"


@pytest.mark.parametrize(
    ("name", "letters"),
    [("Claude Opus 5.5", "CO"), ("GPT-6", "G6"), ("Cash", "CA"), ("€", "?"), ("ß", "SS")],
)
def test_monograms(name, letters):
    assert monogram(name) == letters


def test_a_seal_is_symmetric_and_changes_with_the_hash():
    first, second = seal_path("a9f0d1eb" + "0" * 56), seal_path("b9f0d1eb" + "0" * 56)
    assert first != second
    # Cells are two units wide on a field of 14: each x has its mirror at 12 - x.
    cells = {tuple(map(int, cell.split("h")[0].split())) for cell in first.split("M")[1:]}
    assert {(12 - x, y) for x, y in cells} == cells


def test_a_missing_hash_is_a_dash():
    assert "—" in seal("")


def test_ring_lights_the_parts_that_passed():
    assert ring(5).count('class="on"') == 5


def test_states_are_told_by_shape_and_word():
    assert pill("DENIED") == '<span class="pill" data-o="denied">DENIED</span>'
    assert pill("SOMETHING<b>") == '<span class="pill" data-o="held">SOMETHING&lt;b&gt;</span>'


@pytest.mark.parametrize(
    ("drawdown", "text"),
    [
        (D("0.0842"), "\u22128.42\u00a0%"),
        (D("0.00001"), "0.00\u00a0%"),
        (D(0), "0.00\u00a0%"),
        (None, "—"),
    ],
)
def test_a_drawdown_too_small_to_be_seen_carries_no_sign(drawdown, text):
    assert write.loss_pct(drawdown) == text
