-- The life of a version: created, swapped in, dropped. All of it is done as
-- atelier_owner, which nobody else may.

-- create_version registers a version and makes its two empty schemas. Its DDL
-- comes next, then projections.protect, in the same transaction. Version 0 is
-- for verifications and lives in <name>_verify.
CREATE OR REPLACE FUNCTION projections.create_version(p_name text, p_version int, p_ddl int, p_state text)
RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target text := CASE p_version WHEN 0 THEN p_name || '_verify' ELSE p_name || '_v' || p_version END;
BEGIN
    IF p_state = 'live' THEN
        RAISE EXCEPTION 'a version goes live by projections.swap';
    END IF;
    INSERT INTO projections.versions (name, version, ddl, schema, state) VALUES (p_name, p_version, p_ddl, target, p_state);
    EXECUTE format('CREATE SCHEMA %I', target);
    EXECUTE format('CREATE SCHEMA %I', target || '_api');
    RETURN target;
END
$$;

-- swap puts a version before the readers, under the fixed name <name>_api, and
-- makes the one that was there a standby: swapping back is the same call. Both
-- must stand at the same offsets, be equally closed, and hold the same rows
-- where their DDL is the same. Readers neither wait nor fail: only two schemas
-- are renamed, and in one transaction. Call it again on lock_not_available,
-- and on AT004 (not at the same offsets yet).
CREATE OR REPLACE FUNCTION projections.swap(p_name text, p_version int)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    old projections.versions;
    new projections.versions;
    differs text;
BEGIN
    -- A reader that is open for long must not make all others queue behind us.
    PERFORM set_config('lock_timeout', '100ms', true);
    PERFORM FROM projections.versions v WHERE v.name = p_name ORDER BY v.version FOR UPDATE;
    SELECT * INTO new FROM projections.versions v WHERE v.name = p_name AND v.version = p_version;
    IF NOT FOUND THEN
        RAISE EXCEPTION '% has no version %', p_name, p_version USING ERRCODE = 'AT001';
    END IF;
    IF new.state = 'live' THEN
        RETURN;
    END IF;
    PERFORM projections.check_security(p_name, p_version);
    SELECT * INTO old FROM projections.versions v WHERE v.name = p_name AND v.state = 'live';
    IF FOUND THEN
        -- Held until the end: neither version moves while they are compared.
        PERFORM FROM projections.offsets o WHERE o.name = p_name AND o.version IN (old.version, new.version)
        ORDER BY o.version, o.generation, o.partition FOR UPDATE;
        differs := projections.difference(p_name, old.version, new.version);
        IF differs IS NOT NULL THEN
            RAISE EXCEPTION '% version % cannot replace version %: %', p_name, new.version, old.version, differs USING ERRCODE = 'AT004';
        END IF;
        EXECUTE format('ALTER SCHEMA %I RENAME TO %I', p_name || '_api', old.schema || '_api');
        UPDATE projections.versions v SET state = 'standby' WHERE v.name = p_name AND v.version = old.version;
    END IF;
    EXECUTE format('ALTER SCHEMA %I RENAME TO %I', new.schema || '_api', p_name || '_api');
    UPDATE projections.versions v SET state = 'live' WHERE v.name = p_name AND v.version = new.version;
END
$$;

-- difference says why one version cannot replace another, null where it can.
CREATE OR REPLACE FUNCTION projections.difference(p_name text, p_old int, p_new int)
RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    why text; -- not "found": that would hide FOUND
BEGIN
    SELECT format('generation %s partition %s stands at %s and at %s', generation, partition, coalesce(a.next, 0), coalesce(b.next, 0)) INTO why
    FROM (SELECT * FROM projections.offsets WHERE name = p_name AND version = p_old) a
    FULL JOIN (SELECT * FROM projections.offsets WHERE name = p_name AND version = p_new) b USING (generation, partition)
    WHERE coalesce(a.next, 0) <> coalesce(b.next, 0) LIMIT 1;
    IF FOUND THEN
        RETURN why;
    END IF;
    -- What both have must be open to the same people in the same way.
    WITH a AS (SELECT * FROM projections.security(p_name, p_old)), b AS (SELECT * FROM projections.security(p_name, p_new)),
    only_one AS ((TABLE a EXCEPT TABLE b) UNION ALL (TABLE b EXCEPT TABLE a))
    SELECT format('%s: %s', o_object, o_fact) INTO why FROM only_one
    WHERE o_object IN (SELECT o_object FROM a) AND o_object IN (SELECT o_object FROM b) LIMIT 1;
    IF FOUND THEN
        RETURN why || ' holds for one of them only';
    END IF;
    -- Readers name the views' columns: none may be missing or of another type.
    SELECT format('view column %s.%s is missing or of another type', c.relname, a.attname) INTO why
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = (p_name || '_api')::regnamespace AND NOT EXISTS (
        SELECT FROM pg_class c2 JOIN pg_attribute a2 ON a2.attrelid = c2.oid
        WHERE c2.relnamespace = ((SELECT schema FROM projections.versions WHERE name = p_name AND version = p_new) || '_api')::regnamespace
            AND c2.relname = c.relname AND a2.attname = a.attname AND a2.atttypid = a.atttypid) LIMIT 1;
    IF FOUND THEN
        RETURN why;
    END IF;
    IF (SELECT count(DISTINCT ddl) FROM projections.versions WHERE name = p_name AND version IN (p_old, p_new)) = 1 THEN
        SELECT format('table %s has %s and %s rows, hashes %s and %s', o_table, a.o_rows, b.o_rows, a.o_hash, b.o_hash) INTO why
        FROM projections.hashes(p_name, p_old) a FULL JOIN projections.hashes(p_name, p_new) b USING (o_table)
        WHERE (a.o_rows, a.o_hash) IS DISTINCT FROM (b.o_rows, b.o_hash) LIMIT 1;
    END IF;
    RETURN why;
END
$$;

-- drop_version removes a version that is not live; one that is not there is
-- dropped already. It waits a second at most for the last readers.
CREATE OR REPLACE FUNCTION projections.drop_version(p_name text, p_version int)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v projections.versions;
BEGIN
    PERFORM set_config('lock_timeout', '1s', true);
    SELECT * INTO v FROM projections.versions w WHERE w.name = p_name AND w.version = p_version FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF v.state = 'live' THEN
        RAISE EXCEPTION '% version % is live: swap another one in first', p_name, p_version USING ERRCODE = 'AT005';
    END IF;
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', v.schema || '_api');
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', v.schema);
    DELETE FROM projections.versions w WHERE w.name = p_name AND w.version = p_version;
END
$$;

REVOKE ALL ON FUNCTION projections.create_version, projections.swap, projections.difference, projections.drop_version FROM PUBLIC;
