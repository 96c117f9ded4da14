#!/usr/bin/env python3
"""Prints the events of the stream, decoded: one JSON object a line.

    consumer.py BROKERS REGISTRY_URL [--topic atelier.events] [--group NAME] [--follow]

It reads on behind what its group has read, up to the end, or with --follow until
it is interrupted. It needs confluent-kafka[avro,schemaregistry] of version 2.16.
"""

import argparse
import base64
import datetime
import json
import sys

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

POLL_SECONDS = 1.0


def main():
    parser = argparse.ArgumentParser(description="Prints the events of the stream, decoded.")
    parser.add_argument("brokers", help="host:port, several separated by commas")
    parser.add_argument("registry", help="such as http://127.0.0.1:8081")
    parser.add_argument("--topic", default="atelier.events")
    parser.add_argument("--group", default="example-consumer")
    parser.add_argument("--follow", action="store_true", help="go on with new events until interrupted")
    arguments = parser.parse_args()

    decode = AvroDeserializer(SchemaRegistryClient({"url": arguments.registry}))
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.brokers,
            "group.id": arguments.group,
            # Without it, events of transactions that were aborted would be read
            # too. It is librdkafka's default, but not that of other clients.
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            # What is committed, every few seconds and at the end, is what was
            # printed: see store_offsets.
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "error_cb": lambda error: give_up(error, arguments.follow),
        }
    )
    try:
        consume(consumer, decode, arguments.topic, arguments.follow)
    except KeyboardInterrupt:
        pass
    except KafkaException as error:
        sys.exit(f"consumer.py: {error.args[0]}")
    finally:
        consumer.close()


def consume(consumer, decode, topic, follow):
    at_end = set()
    # A partition that comes anew, or again, is read before it is at its end.
    consumer.subscribe([topic], on_assign=lambda _, partitions: at_end.difference_update(p.partition for p in partitions))
    while True:
        message = consumer.poll(POLL_SECONDS)
        if message is None:
            continue
        if message.error() is None:
            show(decode, message)
            consumer.store_offsets(message)
        elif message.error().code() == KafkaError._PARTITION_EOF:
            at_end.add(message.partition())
            if not follow and at_end.issuperset(p.partition for p in consumer.assignment()):
                return
        elif not message.error().retriable():
            raise KafkaException(message.error())


def show(decode, message):
    event = decode(message.value(), SerializationContext(message.topic(), MessageField.VALUE))
    headers = dict(message.headers() or [])
    print(
        json.dumps(
            {
                "type": headers["type"].decode().rpartition(".")[2],
                "partition": message.partition(),
                "offset": message.offset(),
                "event": event,
            },
            default=plain,
        ),
        flush=True,
    )


def plain(value):
    """Makes JSON of what Avro has and JSON has not: times and bytes."""
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    return base64.b64encode(value).decode()


def give_up(error, follow):
    """Brokers that are away come back: who follows waits for them."""
    if error.fatal() or (error.code() == KafkaError._ALL_BROKERS_DOWN and not follow):
        raise KafkaException(error)


if __name__ == "__main__":
    main()
