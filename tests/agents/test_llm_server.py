"""The fake is part of the proof: it must be what it says."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

from agents.domain.decisions import ParseStatus
from agents.domain.parsing import parse_decision
from agents.domain.prompts import build_messages
from agents.prompts.arena_core import TEMPLATE
from tests.agents.contexts import SPECS, make_account, make_context, make_position
from tests.fakes.llm_server import CYCLE, LlmServer, Request, delay_of, fault_of, trade


def asked(model: str, prompt: str = "hello") -> Request:
    return Request("/v1/messages", {}, {"model": model, "messages": [{"content": prompt}]})


def decisions(*positions):
    for number in range(1, 301):
        context = make_context(round_number=number, account=make_account(*positions))
        prompt = build_messages(TEMPLATE, context).user
        text = trade(prompt, asked("trader-a", prompt).seed)
        yield parse_decision(text, symbols=tuple(SPECS))


def test_a_trader_writes_valid_decisions_on_the_symbols_of_the_prompt():
    reads = list(decisions())

    assert {read.status for read in reads} == {ParseStatus.VALID}
    first = Counter(read.instructions[0].symbol for read in reads)
    assert set(first) == set(SPECS)


def test_a_trader_mostly_trades_and_now_and_then_breaks_a_limit():
    reads = list(decisions())
    holding = [read for read in reads if read.instructions[0].action == "HOLD"]
    bold = [wish for read in reads for wish in read.instructions if (wish.leverage or 1) > 125]

    # One in twenty holds; one in ten oversteps, of which one in five by leverage.
    assert len(holding) < 30
    assert len(bold) >= 1


def test_a_trader_closes_and_reduces_what_the_prompt_says_it_holds():
    actions = Counter(
        wish.action for read in decisions(make_position()) for wish in read.instructions
    )

    assert actions["CLOSE"] > 20
    assert actions["REDUCE"] > 10
    assert actions["OPEN_LONG"] > 50


def test_a_faulty_model_meets_every_fault_and_answers_half_the_time():
    faults = [fault_of(asked("faulty-a", f"prompt {n}"), 1) for n in range(1000)]

    assert {fault for fault in faults if fault} == set(CYCLE)
    assert 400 < faults.count(None) < 600


def test_faults_and_delays_depend_on_model_and_prompt_alone():
    assert fault_of(asked("faulty-500-x"), 1) == fault_of(asked("faulty-500-x"), 2) == "500"
    assert [fault_of(asked("flaky-html-x"), n) for n in (1, 2, 3)] == ["html", None, "html"]
    assert delay_of(asked("latency-250-x")) == 0.25
    assert delay_of(asked("slow-2-x")) == 2.0
    assert delay_of(asked("jitter-1000-3000-x")) == delay_of(asked("jitter-1000-3000-x"))
    delays = {delay_of(asked(f"jitter-1000-3000-{n}")) for n in range(100)}
    assert 1.0 <= min(delays) < 1.2
    assert 2.8 < max(delays) <= 3.0


def test_counts_are_served():
    with LlmServer() as server:
        body = json.dumps({"model": "trader-a", "messages": [{"content": "BTCUSDT"}]}).encode()
        call = urllib.request.Request(f"{server.url}/v1/messages", body, {"x-api-key": "k"})
        with urllib.request.urlopen(call, timeout=5) as answer:
            assert json.load(answer)["type"] == "message"
        with urllib.request.urlopen(f"{server.url}/counts", timeout=5) as answer:
            assert json.load(answer) == {"requests": 1, "ok": 1}


def test_it_runs_as_a_program():
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.llm_server", "--port", "0"],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        line = program.stdout.readline()
        url = line.split()[3]
        with urllib.request.urlopen(f"{url}/counts", timeout=5) as answer:
            assert json.load(answer) == {}
    finally:
        program.terminate()
        program.wait(10)
        program.stdout.close()
