-- Every read model goes; a replay of the events brings them back.
BEGIN;
SET LOCAL ROLE atelier_owner;
DO $$
DECLARE
    v record;
BEGIN
    FOR v IN SELECT name, schema, state FROM projections.versions LOOP
        EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', CASE v.state WHEN 'live' THEN v.name ELSE v.schema END || '_api');
        EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', v.schema);
    END LOOP;
END
$$;
DROP SCHEMA projections CASCADE;
COMMIT;
