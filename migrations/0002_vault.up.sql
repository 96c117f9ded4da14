-- The vault: the keys under which personal text is sealed, and the e-mail
-- addresses whose welcome credits were claimed. The one schema that is no
-- projection: it cannot be rebuilt and must be backed up, its keys apart from
-- the master key. Only atelier_vault may touch it.
BEGIN;

SET LOCAL ROLE atelier_owner;

CREATE SCHEMA IF NOT EXISTS vault;
COMMENT ON SCHEMA vault IS 'Keys of personal text. Not a projection: back it up.';

REVOKE ALL ON SCHEMA vault FROM PUBLIC;
GRANT USAGE ON SCHEMA vault TO atelier_vault;

CREATE TABLE IF NOT EXISTS vault.keys (
    account_id   uuid PRIMARY KEY,
    wrapped      bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz,
    CONSTRAINT keys_destroyed CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL)),
    CONSTRAINT keys_wrapped_bytes CHECK (octet_length(wrapped) <= 256)
);
COMMENT ON TABLE vault.keys IS 'One data key an account, wrapped by the master key. A destroyed one keeps its row, so that no new one is made.';
COMMENT ON COLUMN vault.keys.wrapped IS 'Format version, nonce, AES-256-GCM ciphertext and tag; null when destroyed.';

-- For the check at start, which unwraps the newest.
CREATE INDEX IF NOT EXISTS keys_newest ON vault.keys (created_at DESC) WHERE wrapped IS NOT NULL;

CREATE TABLE IF NOT EXISTS vault.welcome_claims (
    email_hash bytea PRIMARY KEY,
    account_id uuid NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT welcome_claims_hash_bytes CHECK (octet_length(email_hash) = 32)
);
COMMENT ON TABLE vault.welcome_claims IS 'Keyed hashes of the addresses whose welcome credits were claimed. They outlive their account.';

-- Row-level security as everywhere: forced, so that not even the owner reads
-- without a policy that names it.
ALTER TABLE vault.keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.keys FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS keys_vault ON vault.keys;
CREATE POLICY keys_vault ON vault.keys TO atelier_vault USING (true) WITH CHECK (true);

ALTER TABLE vault.welcome_claims ENABLE ROW LEVEL SECURITY;
ALTER TABLE vault.welcome_claims FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS welcome_claims_vault ON vault.welcome_claims;
CREATE POLICY welcome_claims_vault ON vault.welcome_claims TO atelier_vault USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE ON vault.keys TO atelier_vault;
GRANT SELECT, INSERT ON vault.welcome_claims TO atelier_vault;

COMMIT;
