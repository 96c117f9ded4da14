-- The roles stay: other databases of the server may use them. What they could
-- do in this database goes.
BEGIN;
DO $$
BEGIN
    EXECUTE format('REVOKE CREATE ON DATABASE %I FROM atelier_owner', current_database());
END
$$;
COMMIT;
