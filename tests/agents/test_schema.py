"""The schema that is published and sent: it and the reader know the same words."""

from __future__ import annotations

from agents.domain.parsing.readers import INSTRUCTION_KEYS, RESTING_KEYS
from agents.domain.schema import decision_schema
from marketdata.domain.canonical import digest_of


def instruction_of(schema: dict) -> dict:
    return schema["properties"]["instructions"]["items"]


def test_without_resting_orders_the_schema_is_the_one_that_seasons_were_asked_by():
    schema = decision_schema()
    assert tuple(instruction_of(schema)["properties"]) == INSTRUCTION_KEYS
    # Stored with each request of a season: changing it changes what such seasons say they sent.
    assert digest_of(schema) == "e81c29027cefc3296274420279231b9ee39cd9dab0a7e67e7cacbc96a2372d93"


def test_with_resting_orders_every_field_is_told():
    schema = instruction_of(decision_schema(resting_orders=True))
    assert set(schema["properties"]) == set(schema["required"]) == set(RESTING_KEYS)
    assert schema["additionalProperties"] is False
    fields = schema["properties"]
    assert fields["action"]["enum"][-1] == "cancel_orders"
    assert fields["order_type"]["enum"] == [
        "market",
        "limit",
        "stop_market",
        "take_profit_market",
        "trailing_stop",
        None,
    ]
    assert fields["time_in_force"]["enum"] == ["gtc", "ioc", "post_only", None]
