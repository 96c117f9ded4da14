package vault

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// dataKeyBytes is the length of an account's key: AES-256.
const dataKeyBytes = 32

var errNoKey = errors.New("the account has no key yet")

// masterKeys are what the master key is used as: one key for one purpose, so that
// what is known of one says nothing of the other (RFC 5869).
type masterKeys struct {
	wrap  cipher.AEAD
	email []byte
}

func deriveMasterKeys(master []byte) masterKeys {
	return masterKeys{wrap: aead(derive(master, "atelier vault wrap v1")), email: derive(master, "atelier vault email v1")}
}

// accountKey is an account's data key, ready for use.
type accountKey struct {
	seal      cipher.AEAD
	hash      []byte
	destroyed bool
}

func newAccountKey(data []byte) *accountKey {
	return &accountKey{seal: aead(derive(data, "atelier account seal v1")), hash: derive(data, "atelier account hash v1")}
}

// liveKey returns the account's key, makes it at first use, and refuses a
// destroyed one with ErrErased.
func (v *Vault) liveKey(ctx context.Context, accountID string) (uuid.UUID, *accountKey, error) {
	account, err := uuid.Parse(accountID)
	if err != nil {
		return account, nil, fmt.Errorf("account ID: %w", err)
	}
	key, err := v.key(ctx, account)
	if errors.Is(err, errNoKey) {
		if err = v.makeKey(ctx, account); err == nil {
			key, err = v.key(ctx, account)
		}
	}
	switch {
	case err != nil:
		return account, nil, err
	case key.destroyed:
		return account, nil, ErrErased
	}
	return account, key, nil
}

// key returns the account's key from the cache or the table, or errNoKey.
func (v *Vault) key(ctx context.Context, account uuid.UUID) (*accountKey, error) {
	now := v.now()
	if key := v.cache.get(account, now); key != nil {
		return key, nil
	}
	var wrapped []byte
	err := v.pool.QueryRow(ctx, `SELECT wrapped FROM vault.keys WHERE account_id = $1`, account).Scan(&wrapped)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, errNoKey
	case err != nil:
		return nil, fmt.Errorf("read the account's key: %w", err)
	}
	key := &accountKey{destroyed: true}
	if wrapped != nil {
		data, err := v.unwrap(account, wrapped)
		if err != nil {
			return nil, err
		}
		key = newAccountKey(data)
	}
	v.cache.put(account, key, now)
	return key, nil
}

// makeKey gives the account a key if it has none. Two processes that do it at
// once make one: who comes second keeps the first one's.
func (v *Vault) makeKey(ctx context.Context, account uuid.UUID) error {
	data := make([]byte, dataKeyBytes)
	rand.Read(data)
	_, err := v.pool.Exec(ctx, `INSERT INTO vault.keys (account_id, wrapped) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
		account, v.wrap(account, data))
	if err != nil {
		return fmt.Errorf("make the account's key: %w", err)
	}
	return nil
}

// destroyKey keeps the row, so that no new key is ever made for the account.
func (v *Vault) destroyKey(ctx context.Context, account uuid.UUID) error {
	_, err := v.pool.Exec(ctx, `
		INSERT INTO vault.keys (account_id, wrapped, destroyed_at) VALUES ($1, NULL, now())
		ON CONFLICT (account_id) DO UPDATE
		SET wrapped = NULL, destroyed_at = coalesce(vault.keys.destroyed_at, excluded.destroyed_at)`, account)
	return err
}

// checkNewestKey unwraps one key of the table, if there is one.
func (v *Vault) checkNewestKey(ctx context.Context) error {
	var account uuid.UUID
	var wrapped []byte
	err := v.pool.QueryRow(ctx, `SELECT account_id, wrapped FROM vault.keys WHERE wrapped IS NOT NULL
		ORDER BY created_at DESC LIMIT 1`).Scan(&account, &wrapped)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return fmt.Errorf("read a key: %w", err)
	}
	_, err = v.unwrap(account, wrapped)
	return err
}

// wrap seals a data key under the master key: version, nonce, ciphertext.
func (v *Vault) wrap(account uuid.UUID, data []byte) []byte {
	wrapped := make([]byte, 1+nonceBytes, len(data)+Overhead)
	wrapped[0] = formatVersion
	rand.Read(wrapped[1:])
	return v.master.wrap.Seal(wrapped, wrapped[1:], data, valueContext(account))
}

func (v *Vault) unwrap(account uuid.UUID, wrapped []byte) ([]byte, error) {
	if len(wrapped) != dataKeyBytes+Overhead || wrapped[0] != formatVersion {
		return nil, fmt.Errorf("%w: the account's key is in no known format", ErrMasterKey)
	}
	data, err := v.master.wrap.Open(nil, wrapped[1:1+nonceBytes], wrapped[1+nonceBytes:], valueContext(account))
	if err != nil {
		return nil, ErrMasterKey
	}
	return data, nil
}

// derive returns 32 bytes for one purpose. HKDF fails only for lengths beyond 8 KB.
func derive(secret []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, purpose, dataKeyBytes)
	if err != nil {
		panic(fmt.Sprintf("vault: %v", err))
	}
	return key
}

// aead returns AES-256-GCM. It fails only for keys of another length.
func aead(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(fmt.Sprintf("vault: %v", err))
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(fmt.Sprintf("vault: %v", err))
	}
	return gcm
}
