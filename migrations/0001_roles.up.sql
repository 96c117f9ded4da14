-- The roles that own, write and read. They cannot log in: the connecting user
-- takes one of them with SET ROLE.
--
-- Roles belong to the whole server, and the databases of one server can be
-- migrated at the same time. Advisory locks do not reach across databases, so
-- that who comes second waits for the first and finds the role made.
BEGIN;
DO $$
DECLARE
    role_name text;
    done boolean;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['atelier_owner', 'atelier_projector', 'atelier_api', 'atelier_vault'] LOOP
        done := false;
        FOR attempt IN 1..50 LOOP
            BEGIN
                IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
                    EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
                END IF;
                IF NOT pg_has_role(current_user, role_name, 'SET') THEN
                    EXECUTE format('GRANT %I TO %I', role_name, current_user);
                END IF;
                done := true;
                EXIT;
            EXCEPTION WHEN duplicate_object OR unique_violation OR internal_error THEN
                -- internal_error is "tuple concurrently updated": two GRANTs at once.
                PERFORM pg_sleep(0.01 * attempt);
            END;
        END LOOP;
        IF NOT done THEN
            RAISE EXCEPTION 'role % could not be made: other databases of this server change roles all the time', role_name;
        END IF;
    END LOOP;
    EXECUTE format('GRANT CREATE ON DATABASE %I TO atelier_owner', current_database());
END
$$;
COMMIT;
