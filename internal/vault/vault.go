// Package vault keeps what a person wrote unreadable to all but the parts that
// may open it: each account has a data key, wrapped by the master key and kept in
// Postgres (schema vault), and personal text is sealed under it from the first
// record on. To destroy the key is to erase the text from every topic and every
// backup at once.
//
// A sealed value is one byte of format version, a 12-byte random nonce, and the
// AES-256-GCM ciphertext with its 16-byte tag; the version and the account's ID
// are authenticated with it. Random nonces are safe for 2^32 values under one key
// (NIST SP 800-38D, 8.3); no person writes as much.
package vault

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Erased is what a value opens as when its account's key was destroyed.
const Erased = "[erased]"

// Overhead is how much longer a sealed value is than its text, bytes.
const Overhead = 1 + nonceBytes + tagBytes

const (
	formatVersion = 1
	nonceBytes    = 12
	tagBytes      = 16
)

var (
	// ErrTampered is a value that was not sealed for this account under its key,
	// or not by this vault: it will never open.
	ErrTampered = errors.New("sealed value is not authentic")
	// ErrErased is an account whose key was destroyed: nothing is sealed for it.
	ErrErased = errors.New("the account is erased")
	// ErrMasterKey is a master key that does not fit the vault: another one
	// wrapped its keys.
	ErrMasterKey = errors.New("the master key is not the one that wrapped the vault's keys")
)

// Vault seals and opens personal text. It is safe for concurrent use.
type Vault struct {
	pool   *pgxpool.Pool
	master masterKeys
	cache  *cache
	now    func() time.Time
}

// Open returns a vault over the tables of schema vault. The pool's connections
// have the role atelier_vault. masterKey is MasterKeyBytes long, which the caller
// has checked; Open panics on another length, since sealing under it would be lost.
func Open(pool *pgxpool.Pool, masterKey []byte) *Vault {
	if len(masterKey) != MasterKeyBytes {
		panic(fmt.Sprintf("vault: master key of %d bytes, not %d", len(masterKey), MasterKeyBytes))
	}
	return &Vault{pool: pool, master: deriveMasterKeys(masterKey), cache: newCache(keysCachedMax), now: time.Now}
}

// Seal returns plain sealed for the account, and nothing for nothing. It makes
// the account's key at first use. The error is ErrErased for an erased account.
func (v *Vault) Seal(ctx context.Context, accountID string, plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return nil, nil
	}
	account, key, err := v.liveKey(ctx, accountID)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	sealed := make([]byte, 1+nonceBytes, len(plain)+Overhead)
	sealed[0] = formatVersion
	rand.Read(sealed[1:]) // never fails: crypto/rand ends the process instead
	return key.seal.Seal(sealed, sealed[1:], plain, valueContext(account)), nil
}

// Open returns the text of a sealed value, nothing for nothing, and Erased where
// the account's key was destroyed. The error is ErrTampered for a value that will
// never open; other errors may go away.
func (v *Vault) Open(ctx context.Context, accountID string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	account, err := uuid.Parse(accountID)
	if err != nil {
		return nil, fmt.Errorf("open: account ID: %w", err)
	}
	key, err := v.key(ctx, account)
	switch {
	case errors.Is(err, errNoKey):
		return nil, fmt.Errorf("open: %w: the account has no key", ErrTampered)
	case err != nil:
		return nil, fmt.Errorf("open: %w", err)
	case key.destroyed:
		return []byte(Erased), nil
	case len(sealed) < Overhead || sealed[0] != formatVersion:
		return nil, fmt.Errorf("open: %w: not in a known format", ErrTampered)
	}
	plain, err := key.seal.Open(nil, sealed[1:1+nonceBytes], sealed[1+nonceBytes:], valueContext(account))
	if err != nil {
		return nil, fmt.Errorf("open: %w", ErrTampered)
	}
	return plain, nil
}

// IsErased says whether what Open returned is Erased and not a person's text.
// A text of the same bytes is taken for erased too, which hides nothing from anyone.
func IsErased(plain []byte) bool { return bytes.Equal(plain, []byte(Erased)) }

// Hash returns the first 16 bytes of plain's HMAC-SHA256 under a key of the
// account: equal text of one account has equal hashes, and nobody without the key
// can guess it. The error is ErrErased for an erased account.
func (v *Vault) Hash(ctx context.Context, accountID string, plain []byte) ([16]byte, error) {
	_, key, err := v.liveKey(ctx, accountID)
	if err != nil {
		return [16]byte{}, fmt.Errorf("hash: %w", err)
	}
	mac := hmac.New(sha256.New, key.hash)
	mac.Write(plain)
	return [16]byte(mac.Sum(nil)[:16]), nil
}

// Destroy erases all that was ever sealed for the account, for ever. To do it
// again changes nothing. Other processes notice within keyTTL.
func (v *Vault) Destroy(ctx context.Context, accountID string) error {
	account, err := uuid.Parse(accountID)
	if err != nil {
		return fmt.Errorf("destroy: account ID: %w", err)
	}
	if err := v.destroyKey(ctx, account); err != nil {
		return fmt.Errorf("destroy: %w", err)
	}
	v.cache.put(account, &accountKey{destroyed: true}, v.now())
	return nil
}

// Check says whether the vault answers and the master key fits it (ErrMasterKey).
// An empty vault fits every key.
func (v *Vault) Check(ctx context.Context) error {
	if err := v.checkNewestKey(ctx); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	return nil
}

// valueContext is what is authenticated with a sealed value.
func valueContext(account uuid.UUID) []byte {
	return append([]byte{formatVersion}, account[:]...)
}
