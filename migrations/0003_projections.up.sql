-- The registry of the read models' versions, and how far each has read.
BEGIN;
SET LOCAL ROLE atelier_owner;

CREATE SCHEMA IF NOT EXISTS projections;
REVOKE ALL ON SCHEMA projections FROM PUBLIC;
GRANT USAGE ON SCHEMA projections TO atelier_projector, atelier_api;

-- One row a version. Its tables live in `schema` for ever; its views in
-- <schema>_api, or in <name>_api while it is live.
--   filling: whoever made it fills it alone (a rebuild, a verification)
--   standby: projectors keep it beside the live one
--   live:    projectors keep it, and readers see it
CREATE TABLE IF NOT EXISTS projections.versions (
    name       text        NOT NULL CHECK (name ~ '^[a-z][a-z_]{0,30}$'),
    version    int         NOT NULL CHECK (version >= 0),
    ddl        int         NOT NULL CHECK (ddl >= 1),
    schema     text        NOT NULL UNIQUE,
    state      text        NOT NULL CHECK (state IN ('filling', 'standby', 'live')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX IF NOT EXISTS versions_one_live ON projections.versions (name) WHERE state = 'live';

-- Where each version stands: `next` is the offset to be read next in the
-- partition of that topic generation, `log_time` the newest time among the
-- events before it. Updated with every batch: room on the page keeps it HOT.
CREATE TABLE IF NOT EXISTS projections.offsets (
    name       text        NOT NULL,
    version    int         NOT NULL,
    generation int         NOT NULL CHECK (generation >= 0),
    partition  int         NOT NULL CHECK (partition >= 0),
    next       bigint      NOT NULL DEFAULT 0 CHECK (next >= 0),
    log_time   timestamptz,
    PRIMARY KEY (name, version, generation, partition),
    FOREIGN KEY (name, version) REFERENCES projections.versions ON DELETE CASCADE
) WITH (fillfactor = 50);

ALTER TABLE projections.versions ENABLE ROW LEVEL SECURITY;
ALTER TABLE projections.versions FORCE ROW LEVEL SECURITY;
ALTER TABLE projections.offsets ENABLE ROW LEVEL SECURITY;
ALTER TABLE projections.offsets FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS keeps ON projections.versions;
DROP POLICY IF EXISTS reads ON projections.versions;
DROP POLICY IF EXISTS keeps ON projections.offsets;
DROP POLICY IF EXISTS reads ON projections.offsets;
CREATE POLICY keeps ON projections.versions TO atelier_owner USING (true) WITH CHECK (true);
CREATE POLICY reads ON projections.versions FOR SELECT TO atelier_projector, atelier_api USING (true);
CREATE POLICY keeps ON projections.offsets TO atelier_owner, atelier_projector USING (true) WITH CHECK (true);
CREATE POLICY reads ON projections.offsets FOR SELECT TO atelier_api USING (true);
GRANT SELECT ON projections.versions, projections.offsets TO atelier_projector, atelier_api;
GRANT INSERT, UPDATE ON projections.offsets TO atelier_projector;
COMMIT;
