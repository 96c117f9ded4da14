package vault

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// addressBytesMax bounds an e-mail address (RFC 3696: 64 + @ + 255).
const addressBytesMax = 320

// ErrAddress is text that is no e-mail address.
var ErrAddress = errors.New("is no e-mail address")

// ClaimEmail claims the welcome credits of an e-mail address for an account, and
// returns the keyed hash under which the claim is kept (32 bytes). free is false
// where another account has claimed it; an account that asks again is free.
// Claims outlive the account, so that erasing one does not free its address.
func (v *Vault) ClaimEmail(ctx context.Context, accountID, email string) (hash []byte, free bool, err error) {
	account, err := uuid.Parse(accountID)
	if err != nil {
		return nil, false, fmt.Errorf("claim: account ID: %w", err)
	}
	address, err := normalise(email)
	if err != nil {
		return nil, false, fmt.Errorf("claim: %w", err)
	}
	mac := hmac.New(sha256.New, v.master.email)
	mac.Write([]byte(address))
	hash = mac.Sum(nil)
	_, err = v.pool.Exec(ctx, `INSERT INTO vault.welcome_claims (email_hash, account_id) VALUES ($1, $2)
		ON CONFLICT DO NOTHING`, hash, account)
	if err != nil {
		return nil, false, fmt.Errorf("claim: %w", err)
	}
	var owner uuid.UUID
	err = v.pool.QueryRow(ctx, `SELECT account_id FROM vault.welcome_claims WHERE email_hash = $1`, hash).Scan(&owner)
	if err != nil {
		return nil, false, fmt.Errorf("claim: read it back: %w", err)
	}
	return hash, owner == account, nil
}

// normalise returns the address by which one mailbox is known: lower case,
// without what stands behind a plus in its local part. Gmail ignores dots there
// and has two domains (support.google.com/mail/answer/7436150).
func normalise(email string) (string, error) {
	address := strings.ToLower(strings.TrimSpace(email))
	at := strings.LastIndexByte(address, '@')
	if at < 1 || at == len(address)-1 || len(address) > addressBytesMax || strings.ContainsAny(address, " \t\r\n\x00") {
		return "", ErrAddress
	}
	local, domain := address[:at], strings.TrimSuffix(address[at+1:], ".")
	if base, _, tagged := strings.Cut(local, "+"); tagged && base != "" {
		local = base
	}
	if domain == "googlemail.com" {
		domain = "gmail.com"
	}
	if domain == "gmail.com" {
		local = strings.ReplaceAll(local, ".", "")
	}
	if local == "" || domain == "" {
		return "", ErrAddress
	}
	return local + "@" + domain, nil
}
