"""What librdkafka, through confluent-kafka, finds on a broker and a registry.

    librdkafka.py BROKERS REGISTRY_URL PREFIX COMMAND

prints one JSON object; the Go test beside it judges. Whatever does not come in
time ends it with an error.
"""

import json
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka import ConsumerGroupTopicPartitions as GroupPartitions
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec, ResourceType
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

SECONDS = 30  # bounds each wait


def main():
    brokers, registry, prefix, command = sys.argv[1:]
    on_registry = {"registry": subjects, "refusals": refusals}
    if command in on_registry:
        found = on_registry[command](SchemaRegistryClient({"url": registry}))
    else:
        found = {"topics": topics, "offsets": offsets, "groups": groups, "transactions": transactions}[command](brokers, prefix)
    json.dump(found, sys.stdout)


def topics(brokers, prefix):
    """Every topic that begins with prefix, its partitions and what it says of itself."""
    admin = AdminClient({"bootstrap.servers": brokers})
    names = [n for n in admin.list_topics(timeout=SECONDS).topics if n.startswith(prefix)]
    described = admin.describe_configs([ConfigResource(ResourceType.TOPIC, n) for n in names])
    configs = {resource.name: future.result(SECONDS) for resource, future in described.items()}
    partitions = admin.list_topics(timeout=SECONDS).topics
    return {
        n.removeprefix(prefix): {
            "partitions": len(partitions[n].partitions),
            "cleanup.policy": configs[n]["cleanup.policy"].value,
            "retention.ms": configs[n]["retention.ms"].value,
        }
        for n in names
    }


def offsets(brokers, prefix):
    """The events' partitions: first, last stable and latest offset, and those for times."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": prefix + "none", "isolation.level": "read_committed"})
    topic = prefix + "atelier.events"
    admin = AdminClient({"bootstrap.servers": brokers})
    all_partitions = [TopicPartition(topic, p) for p in consumer.list_topics(topic, SECONDS).topics[topic].partitions]
    latest = admin.list_offsets({p: OffsetSpec.latest() for p in all_partitions}, request_timeout=SECONDS)
    found = {}
    for p in all_partitions:
        low, high = consumer.get_watermark_offsets(p, SECONDS)
        at = {}
        for name, millis in {"long_ago": 0, "in_an_hour": int((time.time() + 3600) * 1000)}.items():
            at[name] = consumer.offsets_for_times([TopicPartition(topic, p.partition, millis)], SECONDS)[0].offset
        found[p.partition] = {"low": low, "high": high, "latest": future_of(latest, p).offset, **at}
    consumer.close()
    return found


def future_of(futures, partition):
    return next(f for p, f in futures.items() if p.partition == partition.partition).result(SECONDS)


def groups(brokers, prefix):
    """Reads all events in a group of each protocol, and what the admin then says of it."""
    topic, admin = prefix + "atelier.events", AdminClient({"bootstrap.servers": brokers})
    found = {}
    for name, settings in {
        "range": {"partition.assignment.strategy": "range"},
        "cooperative": {"partition.assignment.strategy": "cooperative-sticky"},
        "consumer": {"group.protocol": "consumer"},
    }.items():
        group = f"{prefix}{name}"
        ids = read(brokers, topic, {"group.id": group, **settings})
        listed = admin.list_consumer_groups(request_timeout=SECONDS).result(SECONDS).valid
        state = admin.describe_consumer_groups([group], request_timeout=SECONDS)[group].result(SECONDS).state.name
        committed = admin.list_consumer_group_offsets([GroupPartitions(group)])[group].result(SECONDS).topic_partitions
        admin.alter_consumer_group_offsets([GroupPartitions(group, [TopicPartition(topic, 0, 0)])])[group].result(SECONDS)
        altered = admin.list_consumer_group_offsets([GroupPartitions(group, [TopicPartition(topic, 0)])])[group].result(SECONDS).topic_partitions
        found[name] = {
            "ids": ids,
            "listed": group in [g.group_id for g in listed],
            "state": state,
            "lag": sum(high_of(brokers, p) - p.offset for p in committed),
            "after_reset": altered[0].offset,
        }
    return found


def high_of(brokers, partition):
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "none"})
    high = consumer.get_watermark_offsets(partition, SECONDS)[1]
    consumer.close()
    return high


def read(brokers, topic, settings):
    """Reads a topic up to its last stable offset, read_committed; the ids in its headers, or its values."""
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            **settings,
        }
    )
    partitions = len(consumer.list_topics(topic, SECONDS).topics[topic].partitions)
    consumer.subscribe([topic])
    ids, ended, deadline = [], set(), time.monotonic() + SECONDS
    while len(ended) < partitions:
        message = consumer.poll(0.1)
        if time.monotonic() > deadline:
            sys.exit(f"{topic} was not read to its end in {SECONDS} s: {len(ids)} records, {len(ended)} of {partitions} partitions")
        if message is None:
            continue
        if message.error():
            ended.add(message.partition())
            continue
        ids.append(dict(message.headers() or {}).get("id", message.value()).decode())
    consumer.commit(offsets=consumer.position(consumer.assignment()), asynchronous=False)
    consumer.close()
    return ids


def transactions(brokers, prefix):
    """Copies what a group reads in transactions of the client's own, one of which aborts."""
    source, copy, group = prefix + "strangers.in", prefix + "strangers.out", prefix + "copier"
    admin = AdminClient({"bootstrap.servers": brokers})
    for future in admin.create_topics([NewTopic(source, 1, 1), NewTopic(copy, 1, 1)], request_timeout=SECONDS).values():
        future.result(SECONDS)
    plain = Producer({"bootstrap.servers": brokers, "enable.idempotence": True})
    plain.produce(source, b"one")
    plain.produce(source, b"two")
    unsent = plain.flush(SECONDS)

    consumer = Consumer({"bootstrap.servers": brokers, "group.id": group, "enable.auto.commit": False, "isolation.level": "read_committed"})
    consumer.assign([TopicPartition(source, 0, OFFSET_BEGINNING)])
    producer = Producer({"bootstrap.servers": brokers, "transactional.id": prefix + "copier"})
    producer.init_transactions(SECONDS)
    for commits in (False, True):
        consumer.assign([TopicPartition(source, 0, OFFSET_BEGINNING)])
        producer.begin_transaction()
        for message in consumer.consume(2, SECONDS):
            producer.produce(copy, message.value() + (b" committed" if commits else b" aborted"))
        producer.flush(SECONDS)  # an abort drops what was not sent
        producer.send_offsets_to_transaction(consumer.position([TopicPartition(source, 0)]), consumer.consumer_group_metadata(), SECONDS)
        if commits:
            producer.commit_transaction(SECONDS)
        else:
            producer.abort_transaction(SECONDS)
    committed = consumer.committed([TopicPartition(source, 0)], SECONDS)[0].offset
    consumer.close()
    return {"unsent": unsent, "copied": read(brokers, copy, {"group.id": prefix + "reader"}), "committed": committed}


def subjects(client):
    """What the registry has, and what it says of an event."""
    names = client.get_subjects()
    event = next(n for n in names if n.startswith("atelier.events-"))
    latest = client.get_latest_version(event)
    return {
        "subjects": names,
        "looked_up": client.lookup_schema(event, latest.schema).schema_id == latest.schema_id,
        "versions": client.get_versions(event),
        "compatibility": client.get_compatibility(event),
    }


def refusals(client):
    """What the registry says to each attempt to write."""
    names, found = client.get_subjects(), {}
    for name, write in {
        "register": lambda: client.register_schema(names[0], Schema('"string"', "AVRO")),
        "set_compatibility": lambda: client.set_compatibility(names[0], "NONE"),
        "delete_version": lambda: client.delete_version(names[0], 1),
        "delete_subject": lambda: client.delete_subject(names[0]),
    }.items():
        try:
            write()
            found[name] = "was taken"
        except SchemaRegistryError as error:
            found[name] = f"{error.http_status_code} {error.error_code}"
    return found


if __name__ == "__main__":
    main()
