"""The one database: schema, migrations, and the only way to read or write it."""

from backstop_common.database.engine import create_engine, sqlalchemy_url
from backstop_common.database.transactions import Reading, Transaction, Transactions

__all__ = ["Reading", "Transaction", "Transactions", "create_engine", "sqlalchemy_url"]
