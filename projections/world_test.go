package projections

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"atelier/internal/postgres"
	"atelier/internal/postgres/postgrestest"
	"atelier/internal/vault"
	"atelier/migrations"
	"atelier/schemas"
)

// noon is the time of every event that names none.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// id returns the UUID of a kind and number; rows show it as "b1:2".
func id(kind string, n int) string { return fmt.Sprintf("%s000000-0000-7000-8000-%012d", kind, n) }

func blockID(n int) string      { return id("b1", n) }
func brandID(n int) string      { return id("b2", n) }
func batchID(n int) string      { return id("b3", n) }
func assetID(n int) string      { return id("a1", n) }
func commandID(n int) string    { return id("c0", n) }
func generationID(n int) string { return id("9e", n) }

var ann, ben = id("0a", 1), id("0b", 1)

var masterKey = bytes.Repeat([]byte{1}, vault.MasterKeyBytes)

func ref[T any](v T) *T { return &v }

// database is a migrated database, as the parts of the system see it.
type database struct {
	t         testing.TB
	url       string
	admin     *pgxpool.Pool // a superuser, to look and to tamper
	projector *pgxpool.Pool
	vaultPool *pgxpool.Pool
	vault     *vault.Vault
	codec     *schemas.Codec
	made      int // versions, for their numbers
}

func newDatabase(t testing.TB) *database {
	t.Helper()
	d := &database{t: t, url: postgrestest.New(t), codec: schemas.NewLockedCodec()}
	require.NoError(t, migrations.Up(t.Context(), d.url))
	d.admin = d.pool("", 4)
	d.projector = d.pool("atelier_projector", 8)
	d.vaultPool = d.pool("atelier_vault", 2)
	d.vault = vault.Open(d.vaultPool, masterKey)
	return d
}

// newReadModels is a database in which the read models exist.
func newReadModels(t testing.TB) *database {
	t.Helper()
	d := newDatabase(t)
	require.NoError(t, Create(t.Context(), d.admin))
	return d
}

func (d *database) pool(role string, connections int32) *pgxpool.Pool {
	d.t.Helper()
	pool, err := postgres.Open(d.t.Context(), postgres.Config{URL: d.url, Role: role, MaxConns: connections})
	require.NoError(d.t, err)
	d.t.Cleanup(pool.Close)
	return pool
}

// exec is what a superuser does.
func (d *database) exec(sql string, args ...any) {
	d.t.Helper()
	_, err := d.admin.Exec(d.t.Context(), sql, args...)
	require.NoError(d.t, err)
}

func (d *database) seal(account, text string) []byte {
	d.t.Helper()
	sealed, err := d.vault.Seal(d.t.Context(), account, []byte(text))
	require.NoError(d.t, err)
	return sealed
}

// newVersion makes an empty version that nobody but the test fills.
func (d *database) newVersion(p Projection) version {
	d.t.Helper()
	d.made++
	v := version{Name: p.Name, Version: 100 + d.made, DDL: p.DDL, State: stateFilling}
	require.NoError(d.t, asOwner(d.t.Context(), d.admin, func(tx pgx.Tx) error { return createVersion(d.t.Context(), tx, v) }))
	return v
}

// live returns the version that readers see.
func (d *database) live(p Projection) version {
	d.t.Helper()
	v, err := liveVersion(d.t.Context(), d.admin, p.Name)
	require.NoError(d.t, err)
	return v
}

func (d *database) folder(p Projection) folder {
	return folder{projection: p, codec: d.codec, open: d.vault.Open}
}

// table is the name of a table of a version.
func table(v version, name string) string {
	return pgx.Identifier{v.Name + "_v" + strconv.Itoa(v.Version), name}.Sanitize()
}

// rows returns what is in a table in the order of the first columns, a line a
// row, with IDs, times and bytes as the tests write them.
func (d *database) rows(v version, name, columns string) []string {
	d.t.Helper()
	rows, err := d.admin.Query(d.t.Context(), "SELECT "+columns+" FROM "+table(v, name)+" ORDER BY 1, 2, 3")
	require.NoError(d.t, err)
	var lines []string
	for rows.Next() {
		values, err := rows.Values()
		require.NoError(d.t, err)
		words := make([]string, len(values))
		for i, value := range values {
			words[i] = show(value)
		}
		lines = append(lines, strings.Join(words, " "))
	}
	require.NoError(d.t, rows.Err())
	return lines
}

// shortID takes apart what id makes.
var shortID = regexp.MustCompile(`([0-9a-f]{2})000000-0000-7000-8000-0*([0-9]+)`)

func show(value any) string {
	switch v := value.(type) {
	case nil:
		return "-"
	case string:
		return strconv.Quote(shortID.ReplaceAllString(v, "$1:$2"))
	case [16]byte:
		name := uuid.UUID(v).String()
		switch name {
		case ann:
			return "ann"
		case ben:
			return "ben"
		}
		return shortID.ReplaceAllString(name, "$1:$2")
	case time.Time:
		switch after := v.Sub(noon); {
		case after == 0:
			return "noon"
		case after > 0:
			return "noon+" + after.String()
		default:
			return "noon" + after.String()
		}
	case []byte:
		return "x" + hex.EncodeToString(v)
	case map[string]any, []any:
		text, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		return shortID.ReplaceAllString(string(text), "$1:$2")
	default:
		return fmt.Sprint(v)
	}
}

// hashes returns the count and hash of the rows of each table of a version.
func (d *database) hashes(v version) map[string]Rows {
	d.t.Helper()
	rows, err := d.admin.Query(d.t.Context(), `SELECT o_table, o_rows, o_hash::text FROM projections.hashes($1, $2)`, v.Name, v.Version)
	require.NoError(d.t, err)
	all := map[string]Rows{}
	var name string
	var found Rows
	_, err = pgx.ForEachRow(rows, []any{&name, &found.Count, &found.Hash}, func() error { all[name] = found; return nil })
	require.NoError(d.t, err)
	return all
}

// next returns where a version stands in a partition, -1 where it does not.
func (d *database) next(v version, partition int32) int64 {
	d.t.Helper()
	var next int64
	require.NoError(d.t, d.admin.QueryRow(d.t.Context(), `SELECT coalesce(max(next), -1) FROM projections.offsets
		WHERE name = $1 AND version = $2 AND partition = $3`, v.Name, v.Version, partition).Scan(&next))
	return next
}
