"""Users and their credits: what is left out stays, and a reference is granted once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backstop_common.database import Transactions
from tests.support.intake import App, balances, count


async def test_a_new_user_has_an_account_and_gets_mails(app: App) -> None:
    answer = await app.put_user("ada", email="ada@example.com", name="Ada")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["email"], told["name"], told["locale"], told["notify"]) == ("ada@example.com", "Ada", "en", True)
    assert (told["balance"], told["frozenBalance"]) == (0, 0)


async def test_what_a_change_leaves_out_stays(app: App) -> None:
    await app.put_user("ada", email="ada@example.com", name="Ada", locale="de", notify=False)
    told = (await app.put_user("ada", name="Ada L.")).json()
    assert (told["email"], told["name"], told["locale"], told["notify"]) == ("ada@example.com", "Ada L.", "de", False)


async def test_null_takes_an_address_away(app: App) -> None:
    await app.put_user("ada", email="ada@example.com", name="Ada")
    assert (await app.put_user("ada", email=None)).json()["email"] is None


async def test_the_same_user_again_changes_nothing(app: App) -> None:
    first = (await app.put_user("ada", email="ada@example.com")).json()
    assert (await app.put_user("ada", email="ada@example.com")).json() == first


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "ada"),
        ("email", "ada@example.com\r\nBcc: all@example.com"),
        ("email", "a@b,c@d"),
        ("name", "A\x00da"),
        ("name", ""),
        ("locale", "../../etc"),
        ("notify", "yes"),
        ("e-mail", "ada@example.com"),
    ],
)
async def test_what_is_no_user_names_its_field(app: App, field: str, value: Any, transactions: Transactions) -> None:
    answer = await app.put_user("ada", **{field: value})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"][0]["field"] == field
    assert await count(transactions, "users") == 0


@pytest.mark.parametrize("user_id", ["a%20b", "a%0Ab", "x" * 201])
async def test_an_id_with_blanks_or_without_end_is_refused(app: App, user_id: str) -> None:
    assert (await app.put_user(user_id, name="Ada")).status_code == 422


async def test_a_grant_is_answered_the_same_however_often_it_is_sent(app: App, transactions: Transactions) -> None:
    await app.put_user("ada")
    answers = [await app.grant(50, "order-1") for _ in range(3)]
    await app.grant(5, "order-2")
    answers.append(await app.grant(50, "order-1"))
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json() for answer in answers] == [answers[0].json()] * 4
    assert (answers[0].json()["amount"], answers[0].json()["balanceAfter"]) == (50, 50)
    assert await balances(transactions) == (55, 0)


async def test_another_amount_for_a_reference_is_a_conflict(app: App, transactions: Transactions) -> None:
    await app.put_user("ada")
    await app.grant(50, "order-1")
    answer = await app.grant(60, "order-1")
    assert (answer.status_code, answer.headers["content-type"]) == (409, "application/problem+json")
    assert answer.json()["errors"][0]["field"] == "amount"
    assert await balances(transactions) == (50, 0)


async def test_two_users_may_have_the_same_reference(app: App, transactions: Transactions) -> None:
    for user_id in ("ada", "bob"):
        await app.put_user(user_id)
        assert (await app.grant(7, "welcome", user_id)).status_code == 200
    assert await balances(transactions, "bob") == (7, 0)


async def test_the_same_grant_at_once_is_granted_once(app: App, transactions: Transactions) -> None:
    await app.put_user("ada")
    answers = await asyncio.gather(*(app.grant(50, "order-1") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await balances(transactions) == (50, 0)


async def test_credits_for_nobody_are_a_404_that_says_what_to_do(app: App) -> None:
    answer = await app.grant(50)
    assert answer.status_code == 404
    assert "PUT /api/users/{id}" in answer.json()["detail"]


@pytest.mark.parametrize("amount", [0, -5, 1.5, "10", True, 10**12 + 1, None])
async def test_an_amount_is_a_whole_number_above_zero(app: App, amount: Any, transactions: Transactions) -> None:
    await app.put_user("ada")
    answer = await app.grant(amount)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "amount"
    assert await balances(transactions) == (0, 0)
