-- Row-level security of the read models: made in one place, so that no table
-- can be forgotten, and checked before readers see a version.

-- protect closes the tables, views and functions of a version. Rows are read by
-- the account that the transaction names (atelier.account_id), and by nobody
-- where it names none.
CREATE OR REPLACE FUNCTION projections.protect(p_name text, p_version int)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target text;
    t record;
BEGIN
    SELECT v.schema INTO STRICT target FROM projections.versions v WHERE v.name = p_name AND v.version = p_version;
    EXECUTE format('REVOKE ALL ON SCHEMA %I, %I FROM PUBLIC', target, target || '_api');
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO atelier_projector', target);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO atelier_api', target || '_api');
    FOR t IN SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relnamespace = target::regnamespace AND c.relkind IN ('r', 'p') LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t.name);
        EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t.name);
        -- The sub-select is computed once a query, not once a row.
        EXECUTE format($policy$CREATE POLICY reads_own ON %s FOR SELECT TO atelier_api
            USING (account_id = (SELECT nullif(current_setting('atelier.account_id', true), '')::uuid))$policy$, t.name);
        EXECUTE format('CREATE POLICY projects ON %s TO atelier_projector, atelier_owner USING (true) WITH CHECK (true)', t.name);
        EXECUTE format('GRANT SELECT ON %s TO atelier_api', t.name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO atelier_projector', t.name);
    END LOOP;
    FOR t IN SELECT c.oid::regclass AS name FROM pg_class c WHERE c.relnamespace = (target || '_api')::regnamespace AND c.relkind = 'v' LOOP
        EXECUTE format('GRANT SELECT ON %s TO atelier_api', t.name);
    END LOOP;
    FOR t IN SELECT p.oid::regprocedure AS name FROM pg_proc p WHERE p.pronamespace = target::regnamespace LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', t.name);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO atelier_projector', t.name);
    END LOOP;
END
$$;

-- security describes who may do what with a version, a line a fact, in words
-- that do not name the version.
CREATE OR REPLACE FUNCTION projections.security(p_name text, p_version int)
RETURNS TABLE (o_object text, o_fact text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tables oid;
    views oid;
BEGIN
    SELECT v.schema::regnamespace, (CASE v.state WHEN 'live' THEN v.name ELSE v.schema END || '_api')::regnamespace
    INTO STRICT tables, views FROM projections.versions v WHERE v.name = p_name AND v.version = p_version;
    RETURN QUERY
    SELECT 'table ' || c.relname, format('row security %s, forced %s', c.relrowsecurity, c.relforcerowsecurity)
    FROM pg_class c WHERE c.relnamespace = tables AND c.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'table ' || c.relname, format('policy %s for %s to %s using %s check %s', p.polname, p.polcmd,
        (SELECT string_agg(r.rolname, ', ' ORDER BY r.rolname) FROM pg_roles r WHERE r.oid = ANY (p.polroles)),
        pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = tables
    UNION ALL
    SELECT 'view ' || c.relname, 'options ' || coalesce(array_to_string(c.reloptions, ', '), 'none')
    FROM pg_class c WHERE c.relnamespace = views AND c.relkind = 'v'
    UNION ALL
    SELECT CASE c.relkind WHEN 'v' THEN 'view ' ELSE 'table ' END || c.relname,
        format('grant %s to %s', a.privilege_type, CASE a.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END)
    FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace IN (tables, views) AND c.relkind IN ('r', 'p', 'v')
    UNION ALL
    SELECT CASE n.oid WHEN tables THEN 'schema of tables' ELSE 'schema of views' END,
        format('grant %s to %s', a.privilege_type, CASE a.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END)
    FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.oid IN (tables, views);
END
$$;

-- check_security raises AT003 where a version is open to anyone whom it should
-- not be open to. A view without security_invoker reads with its owner's eyes.
CREATE OR REPLACE FUNCTION projections.check_security(p_name text, p_version int)
RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tables oid;
    views oid;
    wrong text;
BEGIN
    SELECT v.schema::regnamespace, (CASE v.state WHEN 'live' THEN v.name ELSE v.schema END || '_api')::regnamespace
    INTO STRICT tables, views FROM projections.versions v WHERE v.name = p_name AND v.version = p_version;
    SELECT string_agg(f.fact, '; ' ORDER BY f.fact) INTO wrong FROM (
        SELECT 'row-level security is not forced on ' || c.relname AS fact FROM pg_class c
        WHERE c.relnamespace = tables AND c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
        UNION ALL
        SELECT 'no policy for atelier_api on ' || c.relname FROM pg_class c
        WHERE c.relnamespace = tables AND c.relkind IN ('r', 'p') AND NOT EXISTS (
            SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd = 'r' AND p.polroles = ARRAY['atelier_api'::regrole::oid]
                AND pg_get_expr(p.polqual, p.polrelid) LIKE '(account_id = %atelier.account_id%')
        UNION ALL
        SELECT format('policy %s on %s lets others in', p.polname, c.relname) FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
        WHERE c.relnamespace = tables AND NOT (p.polname = 'reads_own' OR p.polroles <@ ARRAY['atelier_projector'::regrole::oid, 'atelier_owner'::regrole::oid])
        UNION ALL
        SELECT 'security_invoker is off on view ' || c.relname FROM pg_class c
        WHERE c.relnamespace = views AND c.relkind = 'v' AND NOT coalesce(c.reloptions @> ARRAY['security_invoker=true'], false)
        UNION ALL
        SELECT format('%s may %s %s', CASE a.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type, c.relname)
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.relnamespace IN (tables, views) AND c.relkind IN ('r', 'p', 'v')
            AND a.grantee NOT IN ('atelier_owner'::regrole, 'atelier_projector'::regrole)
            AND NOT (a.grantee = 'atelier_api'::regrole AND a.privilege_type = 'SELECT')
        UNION ALL
        SELECT format('function %s has no pinned search_path', p.proname) FROM pg_proc p
        WHERE p.pronamespace = tables AND NOT EXISTS (SELECT FROM unnest(p.proconfig) o WHERE o LIKE 'search_path=%')
        UNION ALL
        SELECT format('relation %s is neither a table in the schema of tables nor a view in that of views', c.relname) FROM pg_class c
        WHERE (c.relnamespace = tables AND c.relkind NOT IN ('r', 'p', 'i', 'I', 't')) OR (c.relnamespace = views AND c.relkind <> 'v')
    ) f;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '% version % is not safe to read: %', p_name, p_version, wrong USING ERRCODE = 'AT003';
    END IF;
END
$$;

REVOKE ALL ON FUNCTION projections.protect, projections.security, projections.check_security FROM PUBLIC;
