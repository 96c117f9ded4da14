-- Outcomes: what became of each command, for 30 days by the log's time.

-- One row a command. Times and positions are the log's: `command_generation`
-- and `command_offset` say where the command stood that was decided first, and
-- `partition` whose clock the row ages by.
CREATE TABLE {{schema}}.outcomes (
    account_id         uuid        NOT NULL,
    command_id         uuid        NOT NULL,
    partition          int         NOT NULL,
    command_generation int         NOT NULL,
    command_offset     bigint      NOT NULL,
    command            text        NOT NULL,
    status             text        NOT NULL,
    code               text        NOT NULL,
    detail             text        NOT NULL,
    figures            jsonb       NOT NULL,
    first_command_id   uuid,
    idempotency_key    text        NOT NULL,
    request_hash       bytea       NOT NULL,
    batch_id           uuid,
    resource_id        uuid,
    events             jsonb       NOT NULL,
    total              int         NOT NULL, -- events that the command led to; fewer: the rest comes
    last_position      text        NOT NULL,
    at                 timestamptz NOT NULL,
    PRIMARY KEY (account_id, command_id)
) WITH (fillfactor = 90);
CREATE INDEX outcomes_key ON {{schema}}.outcomes (account_id, idempotency_key);
CREATE INDEX outcomes_age ON {{schema}}.outcomes (partition, at);

CREATE VIEW {{schema}}_api.outcomes WITH (security_invoker = true) AS
SELECT account_id, command_id, command, status, code, detail, figures, first_command_id, idempotency_key, request_hash, batch_id,
    resource_id, events, total, last_position, at
FROM {{schema}}.outcomes;

CREATE FUNCTION {{schema}}.apply(changes jsonb, partition int, log_time timestamptz)
RETURNS void
LANGUAGE plpgsql SET search_path = {{schema}}, pg_temp AS $$
DECLARE
    -- Rows age by whole days of the partition's own log, and no batch spans two:
    -- which rows there are does not depend on how the events were cut.
    oldest CONSTANT timestamptz := date_trunc('day', log_time, 'UTC') - interval '30 days';
BEGIN
    DELETE FROM outcomes o WHERE o.partition = apply.partition AND o.at < oldest;

    -- A command's events may come in two batches: the rest is appended. Another
    -- outcome of the same command (it was sent twice) changes nothing.
    INSERT INTO outcomes AS o
    SELECT * FROM jsonb_populate_recordset(NULL::outcomes, changes->'outcomes') AS n WHERE n.at >= oldest
    ON CONFLICT (account_id, command_id) DO UPDATE
    SET events = o.events || excluded.events, last_position = excluded.last_position,
        batch_id = coalesce(o.batch_id, excluded.batch_id), resource_id = coalesce(o.resource_id, excluded.resource_id)
    WHERE o.command_generation = excluded.command_generation AND o.command_offset = excluded.command_offset;
END
$$;
