-- Galleries: what was asked for and what became of it.

-- A batch, with counts and money. `brief` is the opened document, null where
-- the account's key is destroyed; `search` is what is looked for in it, lower
-- case, a line a field. `kit` is what the batch was made with, null where its
-- key is destroyed, and `logo_key` the logo's picture, empty where it had none.
-- `source_generation_id` is the image that all of the batch start from, null: none.
-- `reference_asset_ids` are the pictures shown to the model, less source and logo.
-- `seq` is the request's offset: the list's order and cursor.
CREATE TABLE {{schema}}.batches (
    account_id       uuid        NOT NULL,
    batch_id         uuid        NOT NULL,
    brand_id         uuid        NOT NULL,
    brand_version    int         NOT NULL,
    workflow         text        NOT NULL,
    params           jsonb       NOT NULL,
    brief            jsonb,
    campaign         text        NOT NULL,
    tier             text        NOT NULL,
    images           int         NOT NULL,
    per_image        bigint      NOT NULL,
    price_list       int         NOT NULL,
    placement_table  int         NOT NULL,
    deadline         timestamptz NOT NULL,
    requested_at     timestamptz NOT NULL,
    succeeded        int         NOT NULL,
    failed           int         NOT NULL,
    canceled         int         NOT NULL,
    credits_captured bigint      NOT NULL,
    credits_released bigint      NOT NULL,
    seq              bigint      NOT NULL,
    search           text        NOT NULL,
    source_generation_id uuid,
    feedback             text    NOT NULL,
    reference_asset_ids  uuid[]  NOT NULL,
    kit              jsonb,
    logo_key         text        NOT NULL,
    PRIMARY KEY (account_id, batch_id)
) WITH (fillfactor = 70);

CREATE INDEX batches_newest ON {{schema}}.batches (account_id, seq DESC);
-- What was made from an image: few batches have a source, and it never changes.
CREATE INDEX batches_source ON {{schema}}.batches (account_id, source_generation_id, seq DESC) WHERE source_generation_id IS NOT NULL;

-- One image, with what the gallery filters by repeated from its batch. Text is
-- empty and numbers are 0 until they are known. `seq` is the request's offset:
-- the gallery's order and cursor. `tag_keys` are the tags in lower case, in the
-- same order. `deleted_at` null: it is not in the bin. `layout` null: nobody composed
-- it, or the account's key is destroyed.
CREATE TABLE {{schema}}.generations (
    account_id       uuid        NOT NULL,
    generation_id    uuid        NOT NULL,
    batch_id         uuid        NOT NULL,
    brand_id         uuid,
    seq              bigint      NOT NULL,
    placement        text        NOT NULL,
    number           int         NOT NULL,
    status           text        NOT NULL,
    requested_at     timestamptz NOT NULL,
    finished_at      timestamptz,
    deadline         timestamptz NOT NULL,
    media_key        text        NOT NULL DEFAULT '',
    thumbnail_key    text        NOT NULL DEFAULT '',
    sha256           bytea       NOT NULL DEFAULT '',
    bytes            bigint      NOT NULL DEFAULT 0,
    width            int         NOT NULL DEFAULT 0,
    height           int         NOT NULL DEFAULT 0,
    mime_type        text        NOT NULL DEFAULT '',
    model            text        NOT NULL DEFAULT '',
    model_version    text        NOT NULL DEFAULT '',
    template         text        NOT NULL DEFAULT '',
    template_version int         NOT NULL DEFAULT 0,
    attempts         jsonb       NOT NULL DEFAULT '[]',
    reason           text        NOT NULL DEFAULT '',
    fault            text        NOT NULL DEFAULT '',
    detail           text        NOT NULL DEFAULT '',
    credits          bigint      NOT NULL DEFAULT 0,
    campaign         text        NOT NULL,
    workflow         text        NOT NULL,
    tier             text        NOT NULL,
    favourite        boolean     NOT NULL DEFAULT false,
    tags             text[]      NOT NULL DEFAULT '{}',
    tag_keys         text[]      NOT NULL DEFAULT '{}',
    rating           text        NOT NULL DEFAULT 'none',
    rating_reason    text        NOT NULL DEFAULT '',
    deleted_at       timestamptz,
    layout           jsonb,
    PRIMARY KEY (account_id, generation_id)
) WITH (fillfactor = 60);
-- No index on what a generation changes, finished or rated: its update stays on
-- its page. Filters and words are looked for along generations_newest.
CREATE INDEX generations_newest ON {{schema}}.generations (account_id, seq DESC);
CREATE INDEX generations_batch ON {{schema}}.generations (account_id, batch_id);

CREATE VIEW {{schema}}_api.batches WITH (security_invoker = true) AS
SELECT account_id, batch_id, brand_id, brand_version, workflow, params, brief, campaign, tier, images, per_image, price_list,
    placement_table, deadline, requested_at, succeeded, failed, canceled, credits_captured, credits_released, seq, search,
    source_generation_id, feedback, reference_asset_ids,
    kit, logo_key
FROM {{schema}}.batches;

CREATE VIEW {{schema}}_api.generations WITH (security_invoker = true) AS
SELECT account_id, generation_id, batch_id, brand_id, placement, number, status, requested_at, finished_at, deadline, media_key,
    thumbnail_key, sha256, bytes, width, height, mime_type, model, model_version, template, template_version, attempts, reason,
    fault, detail, credits, campaign, workflow, tier, seq, favourite, tags, tag_keys, rating, rating_reason, deleted_at,
    layout
FROM {{schema}}.generations;

CREATE FUNCTION {{schema}}.apply(changes jsonb, partition int, log_time timestamptz)
RETURNS void
LANGUAGE plpgsql SET search_path = {{schema}}, pg_temp AS $$
BEGIN
    -- IDs of batches are new. Where one was used again, the first stays.
    INSERT INTO batches SELECT * FROM jsonb_populate_recordset(NULL::batches, changes->'batches')
    ON CONFLICT (account_id, batch_id) DO NOTHING;

    -- A batch comes before its generations, in this call or in an earlier one.
    INSERT INTO generations (account_id, generation_id, batch_id, brand_id, seq, placement, number, status, requested_at, deadline,
        campaign, workflow, tier)
    SELECT g.account_id, g.generation_id, g.batch_id, b.brand_id, g.seq, g.placement, g.number, 'requested', g.requested_at, g.deadline,
        coalesce(b.campaign, ''), coalesce(b.workflow, ''), coalesce(b.tier, '')
    FROM jsonb_to_recordset(changes->'requested') AS g(account_id uuid, generation_id uuid, batch_id uuid, seq bigint, placement text,
        number int, requested_at timestamptz, deadline timestamptz)
    LEFT JOIN batches b ON b.account_id = g.account_id AND b.batch_id = g.batch_id
    ON CONFLICT (account_id, generation_id) DO NOTHING;

    -- What has ended stays ended: only open ones finish, and only they count.
    WITH finished AS (
        UPDATE generations g
        SET status = f.status, finished_at = f.finished_at, media_key = f.media_key, thumbnail_key = f.thumbnail_key,
            sha256 = f.sha256, bytes = f.bytes, width = f.width, height = f.height, mime_type = f.mime_type, model = f.model,
            model_version = f.model_version, template = f.template, template_version = f.template_version, attempts = f.attempts,
            reason = f.reason, fault = f.fault, detail = f.detail
        FROM jsonb_populate_recordset(NULL::generations, changes->'finished') AS f
        WHERE g.account_id = f.account_id AND g.generation_id = f.generation_id AND g.status = 'requested'
        RETURNING g.account_id, g.batch_id, g.status
    ), counted AS (
        SELECT f.account_id, f.batch_id, count(*) FILTER (WHERE f.status = 'succeeded') AS succeeded,
            count(*) FILTER (WHERE f.status = 'failed') AS failed, count(*) FILTER (WHERE f.status = 'canceled') AS canceled
        FROM finished f GROUP BY f.account_id, f.batch_id
    )
    UPDATE batches b
    SET succeeded = b.succeeded + c.succeeded, failed = b.failed + c.failed, canceled = b.canceled + c.canceled
    FROM counted c WHERE b.account_id = c.account_id AND b.batch_id = c.batch_id;

    UPDATE generations g SET credits = g.credits + c.credits
    FROM jsonb_to_recordset(changes->'paid') AS c(account_id uuid, generation_id uuid, credits bigint)
    WHERE g.account_id = c.account_id AND g.generation_id = c.generation_id;

    UPDATE batches b SET credits_captured = b.credits_captured + c.captured, credits_released = b.credits_released + c.released
    FROM jsonb_to_recordset(changes->'money') AS c(account_id uuid, batch_id uuid, captured bigint, released bigint)
    WHERE b.account_id = c.account_id AND b.batch_id = c.batch_id;

    -- What a person says of an image; null is what was not said.
    UPDATE generations g
    SET favourite = coalesce(s.favourite, g.favourite), tags = coalesce(s.tags, g.tags), tag_keys = coalesce(s.tag_keys, g.tag_keys),
        rating = coalesce(s.rating, g.rating), rating_reason = coalesce(s.rating_reason, g.rating_reason),
        deleted_at = CASE WHEN s.binned IS NULL THEN g.deleted_at ELSE s.deleted_at END, layout = coalesce(s.layout, g.layout)
    FROM jsonb_to_recordset(changes->'said') AS s(account_id uuid, generation_id uuid, favourite boolean, tags text[], tag_keys text[],
        rating text, rating_reason text, binned boolean, deleted_at timestamptz, layout jsonb)
    WHERE g.account_id = s.account_id AND g.generation_id = s.generation_id;
END
$$;
