-- Drops every key: all that was sealed is lost. Nothing else depends on it.
BEGIN;
SET LOCAL ROLE atelier_owner;
DROP SCHEMA IF EXISTS vault CASCADE;
COMMIT;
