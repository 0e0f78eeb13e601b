"""Users' credits, and the ledger that tells how they came to be."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID

from backstop_common.database.tables.columns import metadata, moment, words

credit_accounts = Table(
    "credit_accounts",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), primary_key=True),
    Column("balance", BigInteger, nullable=False, server_default="0"),
    Column("frozen_balance", BigInteger, nullable=False, server_default="0"),
    Column(
        "total_spent",
        BigInteger,
        CheckConstraint("total_spent >= 0", name="total_spent"),
        nullable=False,
        server_default="0",
    ),
    moment("updated_at", default=True),
    CheckConstraint("balance >= 0", name="balance"),
    CheckConstraint("frozen_balance BETWEEN 0 AND balance", name="frozen_balance"),
)

credit_transactions = Table(
    "credit_transactions",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("task_id", UUID, ForeignKey("tasks.id")),
    Column("kind", Text, words("kind", "grant", "hold", "charge", "release", "refund"), nullable=False),
    Column("amount", BigInteger, CheckConstraint("amount >= 0", name="amount"), nullable=False),
    Column("balance_change", BigInteger, nullable=False),
    Column("frozen_change", BigInteger, nullable=False),
    Column("balance_after", BigInteger, CheckConstraint("balance_after >= 0", name="balance_after"), nullable=False),
    Column("frozen_after", BigInteger, CheckConstraint("frozen_after >= 0", name="frozen_after"), nullable=False),
    Column("reason", Text),
    Column("reference_id", Text),
    moment("created_at", default=True),
    CheckConstraint(
        "CASE kind"
        " WHEN 'grant' THEN balance_change = amount AND frozen_change = 0"
        " WHEN 'hold' THEN balance_change = 0 AND frozen_change = amount"
        " WHEN 'charge' THEN balance_change = -amount AND frozen_change IN (0, -amount)"
        " WHEN 'release' THEN balance_change = 0 AND frozen_change = -amount"
        " WHEN 'refund' THEN balance_change = amount AND frozen_change = 0"
        " END",
        name="effect_of_kind",
    ),
    CheckConstraint("(kind = 'grant') = (task_id IS NULL)", name="task_unless_grant"),
)
Index(
    "uq_credit_transactions_settlement",
    credit_transactions.c.task_id,
    unique=True,
    postgresql_where=text("kind IN ('charge', 'release', 'refund')"),
)
Index("uq_credit_transactions_hold", credit_transactions.c.task_id, unique=True, postgresql_where=text("kind = 'hold'"))
Index(
    "uq_credit_transactions_reference",
    credit_transactions.c.user_id,
    credit_transactions.c.reference_id,
    unique=True,
    postgresql_where=text("reference_id IS NOT NULL"),
)
Index("ix_credit_transactions_user", credit_transactions.c.user_id, credit_transactions.c.created_at)
