"""The shape all messages share."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """One message body. `type` is the wire name: routing key, AMQP `type` property and outbox column."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: ClassVar[str]
