package schemas

import (
	"testing"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/stretchr/testify/require"
)

// accounts are empty, full of values of their own, and longer than a block.
func accounts() map[string]*Account {
	full := sample("atelier.accounts.v1.Account").(*Account)
	long := *full
	for range 2*arrayBlockMax + 1 {
		long.Keys = append(long.Keys, full.Keys[0])
		long.Blocks = append(long.Blocks, full.Blocks[1], AccountBlock{Credits: -1})
		long.Batches[0].Generations = append(long.Batches[0].Generations, full.Assets[0].ID)
	}
	long.LastAt = time.Unix(-1, 1000).UTC()
	return map[string]*Account{"empty": {}, "full": full, "long": &long}
}

// Snapshots are compared byte by byte (atelier verify), so an account's own way
// must be the library's, in both directions.
func TestAccountsAreWrittenAndReadAsTheLibraryDoes(t *testing.T) {
	codec := NewLockedCodec()
	schema := codec.writers["atelier.accounts.v1.Account"].schema
	for name, account := range accounts() {
		wire, err := codec.Encode(account)
		require.NoError(t, err, name)
		library, err := codec.api.Marshal(schema, account)
		require.NoError(t, err, name)
		require.Equal(t, library, wire[wireHeaderBytes:], name)

		var read Account
		in := avro.NewReader(nil, 0, avro.WithReaderConfig(codec.api)).Reset(library)
		in.ReadVal(schema, &read)
		got, err := codec.Decode(t.Context(), TopicAccounts, wire)
		require.NoError(t, err, name)
		require.Equal(t, &read, got, name)
	}
}

// Every byte less, and every byte changed, is an error or another account, and
// neither a panic nor an allocation beyond all bounds.
func TestDamagedAccountsAreRefused(t *testing.T) {
	codec := NewLockedCodec()
	wire, err := codec.Encode(accounts()["full"])
	require.NoError(t, err)
	for end := range wire {
		_, err := codec.Decode(t.Context(), TopicAccounts, wire[:end])
		require.ErrorIs(t, err, ErrUnreadable, "the first %d bytes", end)
	}
	for at := wireHeaderBytes; at < len(wire); at++ {
		for _, b := range []byte{0x00, 0x01, 0x7f, 0x80, 0xff} {
			damaged := append([]byte(nil), wire...)
			damaged[at] = b
			if _, err := codec.Decode(t.Context(), TopicAccounts, damaged); err != nil {
				require.ErrorIs(t, err, ErrUnreadable, "byte %d as %d", at, b)
				require.NotContains(t, err.Error(), "panicked", "byte %d as %d", at, b)
			}
		}
	}
}
