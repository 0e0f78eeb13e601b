"""Handlers and their bindings: the same table of subscriptions runs on RabbitMQ or inside one process."""

from backstop_common.messaging.subscription import Delivery, Handler, Subscription, subscription

__all__ = ["Delivery", "Handler", "Subscription", "subscription"]
