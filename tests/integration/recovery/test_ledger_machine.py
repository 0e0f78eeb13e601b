"""Any order of claims, settlements, crashes, webhooks and decisions leaves money, labels and events in agreement.

What the machine may do is in `tests/support/ledger_machine.py`; the long suite lets it do more of it.
"""

from __future__ import annotations

from tests.support.ledger_machine import run_machine


def test_no_order_of_steps_charges_twice_or_loses_an_event(database_url: str) -> None:
    run_machine(database_url, examples=20, steps=30)
