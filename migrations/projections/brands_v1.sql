-- Brands and the files that belong to them.

-- The newest version of each kit. `kit` is the opened document, null where the
-- account's key is destroyed.
CREATE TABLE {{schema}}.brands (
    account_id uuid        NOT NULL,
    brand_id   uuid        NOT NULL,
    version    int         NOT NULL,
    archived   boolean     NOT NULL,
    kit        jsonb,
    kit_hash   bytea       NOT NULL,
    kit_schema int         NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, brand_id)
) WITH (fillfactor = 70);

-- brand_id null: the asset belongs to all brands.
CREATE TABLE {{schema}}.assets (
    account_id uuid        NOT NULL,
    asset_id   uuid        NOT NULL,
    brand_id   uuid,
    kind       text        NOT NULL,
    name       text        NOT NULL,
    media_key  text        NOT NULL,
    sha256     bytea       NOT NULL,
    bytes      bigint      NOT NULL,
    width      int         NOT NULL,
    height     int         NOT NULL,
    mime_type  text        NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, asset_id)
);

CREATE VIEW {{schema}}_api.brands WITH (security_invoker = true) AS
SELECT account_id, brand_id, version, archived, kit, kit_hash, kit_schema, created_at, updated_at FROM {{schema}}.brands;

CREATE VIEW {{schema}}_api.assets WITH (security_invoker = true) AS
SELECT account_id, asset_id, brand_id, kind, name, media_key, sha256, bytes, width, height, mime_type, created_at
FROM {{schema}}.assets;

CREATE FUNCTION {{schema}}.apply(changes jsonb, partition int, log_time timestamptz)
RETURNS void
LANGUAGE plpgsql SET search_path = {{schema}}, pg_temp AS $$
BEGIN
    INSERT INTO brands AS b SELECT * FROM jsonb_populate_recordset(NULL::brands, changes->'saved')
    ON CONFLICT (account_id, brand_id) DO UPDATE
    SET version = excluded.version, kit = excluded.kit, kit_hash = excluded.kit_hash, kit_schema = excluded.kit_schema,
        updated_at = excluded.updated_at;

    UPDATE brands b SET archived = c.archived, updated_at = greatest(b.updated_at, c.updated_at)
    FROM jsonb_to_recordset(changes->'archived') AS c(account_id uuid, brand_id uuid, archived boolean, updated_at timestamptz)
    WHERE b.account_id = c.account_id AND b.brand_id = c.brand_id;

    DELETE FROM assets a
    USING jsonb_to_recordset(changes->'removed') AS c(account_id uuid, asset_id uuid)
    WHERE a.account_id = c.account_id AND a.asset_id = c.asset_id;

    INSERT INTO assets SELECT * FROM jsonb_populate_recordset(NULL::assets, changes->'added')
    ON CONFLICT (account_id, asset_id) DO UPDATE
    SET brand_id = excluded.brand_id, kind = excluded.kind, name = excluded.name, media_key = excluded.media_key,
        sha256 = excluded.sha256, bytes = excluded.bytes, width = excluded.width, height = excluded.height,
        mime_type = excluded.mime_type, created_at = excluded.created_at;
END
$$;
