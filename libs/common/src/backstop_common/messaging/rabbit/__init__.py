"""RabbitMQ: addresses, topology, the publisher of the relay, and the consumers.

Publishing and consuming use separate connections, because RabbitMQ blocks a publishing connection as a whole when
memory or disk run out. Both reconnect by themselves every second; heartbeats notice a half-open link within half a
minute.
"""

from backstop_common.messaging.rabbit.address import amqp_address
from backstop_common.messaging.rabbit.consuming import RabbitConsumers
from backstop_common.messaging.rabbit.publishing import RabbitPublisher
from backstop_common.messaging.rabbit.topology import declare_topology

__all__ = ["RabbitConsumers", "RabbitPublisher", "amqp_address", "declare_topology"]
