-- Credits: balance, blocks and statement of each account.

-- What an account has, after its newest event.
CREATE TABLE {{schema}}.balances (
    account_id uuid        NOT NULL PRIMARY KEY,
    available  bigint      NOT NULL,
    held       bigint      NOT NULL,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 70);

-- Credits that came together and expire together; expires_at null: never.
CREATE TABLE {{schema}}.blocks (
    account_id uuid        NOT NULL,
    block_id   uuid        NOT NULL,
    source     text        NOT NULL,
    priority   int         NOT NULL,
    granted    bigint      NOT NULL,
    remaining  bigint      NOT NULL,
    expires_at timestamptz,
    granted_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, block_id)
) WITH (fillfactor = 70);

-- The statement, one line an event. `seq` is the event's offset.
CREATE TABLE {{schema}}.entries (
    account_id       uuid        NOT NULL,
    seq              bigint      NOT NULL,
    line             int         NOT NULL,
    event_id         uuid        NOT NULL,
    at               timestamptz NOT NULL,
    kind             text        NOT NULL,
    credits          bigint      NOT NULL,
    available_change bigint      NOT NULL,
    held_change      bigint      NOT NULL,
    available_after  bigint      NOT NULL,
    held_after       bigint      NOT NULL,
    batch_id         uuid,
    generation_id    uuid,
    source           text        NOT NULL,
    reason           text        NOT NULL,
    PRIMARY KEY (account_id, seq, line)
);

CREATE VIEW {{schema}}_api.balances WITH (security_invoker = true) AS
SELECT account_id, available, held, updated_at FROM {{schema}}.balances;

CREATE VIEW {{schema}}_api.blocks WITH (security_invoker = true) AS
SELECT account_id, block_id, source, priority, granted, remaining, expires_at, granted_at FROM {{schema}}.blocks;

CREATE VIEW {{schema}}_api.entries WITH (security_invoker = true) AS
SELECT account_id, event_id, at, seq, line, kind, credits, available_change, held_change, available_after, held_after,
    batch_id, generation_id, source, reason
FROM {{schema}}.entries;

CREATE FUNCTION {{schema}}.apply(changes jsonb, partition int, log_time timestamptz)
RETURNS void
LANGUAGE plpgsql SET search_path = {{schema}}, pg_temp AS $$
BEGIN
    INSERT INTO entries SELECT * FROM jsonb_populate_recordset(NULL::entries, changes->'entries');
    -- A block that was used up may be given again under its old ID.
    INSERT INTO blocks AS b SELECT * FROM jsonb_populate_recordset(NULL::blocks, changes->'granted')
    ON CONFLICT (account_id, block_id) DO UPDATE
    SET source = excluded.source, priority = excluded.priority, granted = b.granted + excluded.granted,
        remaining = b.remaining + excluded.remaining, expires_at = excluded.expires_at;

    UPDATE blocks b
    SET remaining = b.remaining + c.change,
        expires_at = CASE WHEN c.expiry_changed THEN c.expires_at ELSE b.expires_at END
    FROM jsonb_to_recordset(changes->'blocks') AS c(account_id uuid, block_id uuid, change bigint, expiry_changed boolean, expires_at timestamptz)
    WHERE b.account_id = c.account_id AND b.block_id = c.block_id;

    -- An account begins with nothing, unless it was given something before.
    INSERT INTO balances SELECT * FROM jsonb_populate_recordset(NULL::balances, changes->'opened')
    ON CONFLICT (account_id) DO NOTHING;
    INSERT INTO balances SELECT * FROM jsonb_populate_recordset(NULL::balances, changes->'balances')
    ON CONFLICT (account_id) DO UPDATE
    SET available = excluded.available, held = excluded.held, updated_at = excluded.updated_at;
END
$$;
