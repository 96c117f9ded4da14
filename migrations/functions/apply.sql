-- How projectors take partitions up and move on.

-- take returns where a version stands in the partitions, and begins those that
-- it never read. A version that was filled from another generation of the topic
-- would count everything twice: it has to be rebuilt.
CREATE OR REPLACE FUNCTION projections.take(p_name text, p_version int, p_generation int, p_partitions int[])
RETURNS TABLE (o_partition int, o_next bigint, o_log_time timestamptz)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    other int;
BEGIN
    PERFORM FROM projections.versions v WHERE v.name = p_name AND v.version = p_version;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% has no version %', p_name, p_version USING ERRCODE = 'AT001';
    END IF;
    SELECT o.generation INTO other FROM projections.offsets o
    WHERE o.name = p_name AND o.version = p_version AND o.generation <> p_generation LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% version % was filled from topic generation %, not %: rebuild it', p_name, p_version, other, p_generation
            USING ERRCODE = 'AT002';
    END IF;
    INSERT INTO projections.offsets (name, version, generation, partition)
    SELECT p_name, p_version, p_generation, p FROM unnest(p_partitions) AS p
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT o.partition, o.next, o.log_time FROM projections.offsets o
    WHERE o.name = p_name AND o.version = p_version AND o.generation = p_generation AND o.partition = ANY (p_partitions);
END
$$;

-- apply moves a partition of a version from one offset to another and applies
-- what the events in between changed. It returns false, and changes nothing,
-- where the version does not stand at p_from: somebody else has moved it.
CREATE OR REPLACE FUNCTION projections.apply(p_name text, p_version int, p_generation int, p_partition int,
    p_from bigint, p_to bigint, p_log_time timestamptz, p_changes jsonb)
RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    log_time timestamptz;
    target text;
BEGIN
    -- A crash of the server may lose the last transactions, offsets and rows
    -- alike: projectors compare where they stand, and read the same events again.
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE projections.offsets o SET next = p_to, log_time = greatest(o.log_time, p_log_time)
    WHERE o.name = p_name AND o.version = p_version AND o.generation = p_generation AND o.partition = p_partition
        AND o.next = p_from
    RETURNING o.log_time INTO log_time;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF p_changes IS NOT NULL THEN
        SELECT v.schema INTO STRICT target FROM projections.versions v WHERE v.name = p_name AND v.version = p_version;
        EXECUTE format('SELECT %I.apply($1, $2, $3)', target) USING p_changes, p_partition, log_time;
    END IF;
    RETURN true;
END
$$;

-- hashes returns the count and the hash of the rows of each table: equal for
-- equal rows in any order. The settings that shape a row's text are pinned.
CREATE OR REPLACE FUNCTION projections.hashes(p_name text, p_version int)
RETURNS TABLE (o_table text, o_rows bigint, o_hash numeric)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET bytea_output = 'hex' SET extra_float_digits = 1 AS $$
DECLARE
    target text;
BEGIN
    SELECT v.schema INTO STRICT target FROM projections.versions v WHERE v.name = p_name AND v.version = p_version;
    FOR o_table IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = target::regnamespace AND c.relkind IN ('r', 'p') ORDER BY 1 LOOP
        EXECUTE format('SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) FROM %I.%I AS t', target, o_table)
        INTO o_rows, o_hash;
        RETURN NEXT;
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION projections.take, projections.apply, projections.hashes FROM PUBLIC;
GRANT EXECUTE ON FUNCTION projections.take, projections.apply, projections.hashes TO atelier_projector;
