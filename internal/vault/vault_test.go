package vault

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"atelier/internal/postgres"
	"atelier/internal/postgres/postgrestest"
	"atelier/migrations"
)

const (
	ann = "0a000000-0000-7000-8000-00000000000a"
	ben = "0b000000-0000-7000-8000-00000000000b"
)

var masterKey = bytes.Repeat([]byte{1}, MasterKeyBytes)

// database returns the URL of a migrated database, and a pool of the vault's role.
func database(t *testing.T) (string, *pgxpool.Pool) {
	t.Helper()
	url := postgrestest.New(t)
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	return url, poolOf(t, url, "atelier_vault")
}

func poolOf(t *testing.T, url, role string) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: url, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func seal(t *testing.T, v *Vault, account, text string) []byte {
	t.Helper()
	sealed, err := v.Seal(t.Context(), account, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func opens(t *testing.T, v *Vault, account string, sealed []byte, want string) {
	t.Helper()
	plain, err := v.Open(t.Context(), account, sealed)
	if err != nil || string(plain) != want {
		t.Errorf("opens as %q, %v; want %q", plain, err, want)
	}
}

func fails(t *testing.T, v *Vault, account string, sealed []byte, want error) {
	t.Helper()
	if plain, err := v.Open(t.Context(), account, sealed); !errors.Is(err, want) || plain != nil {
		t.Errorf("opens as %q, %v; want %v", plain, err, want)
	}
}

func TestVault(t *testing.T) {
	_, pool := database(t)
	v := Open(pool, masterKey)

	t.Run("what is sealed opens", func(t *testing.T) {
		sealed := seal(t, v, ann, "my brief")
		if bytes.Contains(sealed, []byte("brief")) || len(sealed) != len("my brief")+Overhead {
			t.Errorf("sealed as %q", sealed)
		}
		opens(t, v, ann, sealed, "my brief")
		opens(t, v, strings.ToUpper(ann), sealed, "my brief")
		opens(t, Open(pool, masterKey), ann, sealed, "my brief")
		if again := seal(t, v, ann, "my brief"); bytes.Equal(again, sealed) {
			t.Error("the same text is sealed alike twice")
		}
	})
	t.Run("nothing is nothing", func(t *testing.T) {
		if sealed, err := v.Seal(t.Context(), uuid.NewString(), nil); len(sealed) != 0 || err != nil {
			t.Errorf("%q, %v", sealed, err)
		}
		opens(t, v, uuid.NewString(), nil, "")
	})
	t.Run("each byte counts", func(t *testing.T) {
		sealed := seal(t, v, ann, "text")
		for i := range sealed {
			for _, bit := range []byte{1, 128} {
				tampered := bytes.Clone(sealed)
				tampered[i] ^= bit
				fails(t, v, ann, tampered, ErrTampered)
			}
		}
		for n := 1; n < len(sealed); n++ {
			fails(t, v, ann, sealed[:n], ErrTampered)
		}
		fails(t, v, ann, append(bytes.Clone(sealed), 0), ErrTampered)
	})
	t.Run("another account's value", func(t *testing.T) {
		seal(t, v, ben, "of ben")
		fails(t, v, ben, seal(t, v, ann, "of ann"), ErrTampered)
	})
	t.Run("another account's wrapped key", func(t *testing.T) {
		cat, dan := uuid.NewString(), uuid.NewString()
		sealed := seal(t, v, cat, "of cat")
		seal(t, v, dan, "of dan")
		swap(t, pool, cat, dan)
		fails(t, Open(pool, masterKey), dan, sealed, ErrMasterKey)
	})
	t.Run("an account without a key", func(t *testing.T) {
		fails(t, v, uuid.NewString(), seal(t, v, ann, "text"), ErrTampered)
	})
	t.Run("what is no account", func(t *testing.T) {
		if _, err := v.Seal(t.Context(), "ann", []byte("text")); err == nil {
			t.Error("sealed for an account that cannot be")
		}
		if _, err := v.Open(t.Context(), "ann", []byte("text")); err == nil || errors.Is(err, ErrTampered) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("hashes", func(t *testing.T) {
		hash := func(account, text string) [16]byte {
			h, err := v.Hash(t.Context(), account, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		kit, again := hash(ann, "kit"), hash(ann, "kit")
		if kit != again || kit == hash(ann, "kit2") || kit == hash(ben, "kit") {
			t.Error("a hash is not of its account and its text")
		}
	})
}

// swap gives one account the wrapped key of another.
func swap(t *testing.T, pool *pgxpool.Pool, from, to string) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `UPDATE vault.keys SET wrapped = (SELECT wrapped FROM vault.keys WHERE account_id = $1)
		WHERE account_id = $2`, from, to)
	if err != nil {
		t.Fatal(err)
	}
}

func TestWrongMasterKey(t *testing.T) {
	_, pool := database(t)
	v := Open(pool, masterKey)
	wrong := Open(pool, bytes.Repeat([]byte{2}, MasterKeyBytes))
	if err := errors.Join(v.Check(t.Context()), wrong.Check(t.Context())); err != nil {
		t.Fatalf("an empty vault fits every key: %v", err)
	}
	sealed := seal(t, v, ann, "text")
	fails(t, wrong, ann, sealed, ErrMasterKey)
	if _, err := wrong.Seal(t.Context(), ann, []byte("text")); !errors.Is(err, ErrMasterKey) {
		t.Errorf("seal: %v", err)
	}
	if err := wrong.Check(t.Context()); !errors.Is(err, ErrMasterKey) {
		t.Errorf("check: %v", err)
	}
	if err := v.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	opens(t, v, ann, sealed, "text")
}

func TestOpenRefusesShortMasterKey(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("opened with a master key of 31 bytes")
		}
	}()
	Open(nil, masterKey[:31])
}

// TestConcurrentFirstUse: two processes that seal for a new account at once make
// one key, and each opens what the other sealed.
func TestConcurrentFirstUse(t *testing.T) {
	url, pool := database(t)
	vaults := []*Vault{Open(pool, masterKey), Open(poolOf(t, url, "atelier_vault"), masterKey)}
	for range 20 {
		account := uuid.NewString()
		sealed := make([][]byte, 8)
		errs := make([]error, len(sealed))
		var work sync.WaitGroup
		start := make(chan struct{})
		for i := range sealed {
			work.Go(func() {
				<-start
				sealed[i], errs[i] = vaults[i%2].Seal(t.Context(), account, []byte("text"))
			})
		}
		close(start)
		work.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		for i := range sealed {
			opens(t, vaults[(i+1)%2], account, sealed[i], "text")
		}
	}
}

func TestDestroy(t *testing.T) {
	_, pool := database(t)
	v, other := Open(pool, masterKey), Open(pool, masterKey)
	now := time.Now()
	other.now = func() time.Time { return now }
	sealed := seal(t, v, ann, "text")
	ofBen := seal(t, v, ben, "text")
	opens(t, other, ann, sealed, "text")

	for range 2 { // again changes nothing
		if err := v.Destroy(t.Context(), ann); err != nil {
			t.Fatal(err)
		}
	}
	opens(t, v, ann, sealed, Erased)
	opens(t, v, ann, []byte("whatever it was"), Erased)
	opens(t, Open(pool, masterKey), ann, sealed, Erased)
	opens(t, v, ben, ofBen, "text")
	if _, err := v.Seal(t.Context(), ann, []byte("more")); !errors.Is(err, ErrErased) {
		t.Errorf("seal: %v", err)
	}
	if _, err := v.Hash(t.Context(), ann, []byte("more")); !errors.Is(err, ErrErased) {
		t.Errorf("hash: %v", err)
	}

	now = now.Add(keyTTL)
	opens(t, other, ann, sealed, Erased)
	if keyTTL > time.Minute {
		t.Errorf("another process notices after %s", keyTTL)
	}

	cat := uuid.NewString() // one that never had a key gets none
	if err := v.Destroy(t.Context(), cat); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Seal(t.Context(), cat, []byte("text")); !errors.Is(err, ErrErased) {
		t.Errorf("seal: %v", err)
	}
	var wrapped int
	if err := pool.QueryRow(t.Context(), `SELECT count(wrapped) FROM vault.keys WHERE destroyed_at IS NOT NULL`).Scan(&wrapped); err != nil || wrapped != 0 {
		t.Errorf("%d destroyed keys are still there, %v", wrapped, err)
	}
	if !IsErased([]byte("[erased]")) || IsErased([]byte("text")) {
		t.Error("IsErased is wrong")
	}
}

func TestClaimEmail(t *testing.T) {
	_, pool := database(t)
	v := Open(pool, masterKey)
	claim := func(account, email string) ([]byte, bool) {
		t.Helper()
		hash, free, err := v.ClaimEmail(t.Context(), account, email)
		if err != nil || len(hash) != 32 {
			t.Fatalf("%d bytes, %v", len(hash), err)
		}
		return hash, free
	}
	first, free := claim(ann, "Ann.Lee+ads@GMail.com")
	if !free {
		t.Fatal("a new address is not free")
	}
	if _, free := claim(ann, "ann.lee@gmail.com"); !free {
		t.Error("the same account may not ask again")
	}
	if hash, free := claim(ben, " annlee@googlemail.com"); free || !bytes.Equal(hash, first) {
		t.Error("another account got the same mailbox")
	}
	if _, free := claim(ben, "ann.lee@example.com"); !free {
		t.Error("another address is not free")
	}
	if err := v.Destroy(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	if _, free := claim(ben, "annlee@gmail.com"); free {
		t.Error("an erased account freed its address")
	}
	if _, _, err := v.ClaimEmail(t.Context(), ann, "nobody"); !errors.Is(err, ErrAddress) {
		t.Errorf("error %v", err)
	}

	var wins sync.Map
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			account := uuid.NewString()
			if _, free, err := v.ClaimEmail(context.WithoutCancel(t.Context()), account, "race@example.com"); err == nil && free {
				wins.Store(account, true)
			}
		})
	}
	work.Wait()
	won := 0
	wins.Range(func(any, any) bool { won++; return true })
	if won != 1 {
		t.Errorf("%d accounts won one address", won)
	}
}

func TestNormalise(t *testing.T) {
	for email, want := range map[string]string{
		"a@b.c": "a@b.c", " A+x+y@B.C ": "a@b.c", "a.b@gmail.com": "ab@gmail.com", "a.b@example.com": "a.b@example.com",
		"+a@b.c": "+a@b.c", "a@b.c.": "a@b.c", "\"a@b\"@c.d": "\"a@b\"@c.d",
		"": "", "@b": "", "a@": "", "a b@c": "", "...@gmail.com": "", "a@.": "", strings.Repeat("a", 320) + "@b": "",
	} {
		got, err := normalise(email)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", email, got, err, want)
		}
	}
}

// TestOnlyTheVaultsRole: the tables are no one else's, not even to read.
func TestOnlyTheVaultsRole(t *testing.T) {
	url, vaultPool := database(t)
	seal(t, Open(vaultPool, masterKey), ann, "text")
	for _, role := range []string{"atelier_api", "atelier_projector"} {
		pool := poolOf(t, url, role)
		for _, table := range []string{"vault.keys", "vault.welcome_claims"} {
			var denied *pgconn.PgError
			_, err := pool.Exec(t.Context(), "SELECT FROM "+table)
			if !errors.As(err, &denied) || denied.Code != "42501" {
				t.Errorf("%s reads %s: %v", role, table, err)
			}
		}
	}
	owner := poolOf(t, url, "atelier_owner")
	var rows int
	if err := owner.QueryRow(t.Context(), `SELECT count(*) FROM vault.keys`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("the owner sees %d rows, %v", rows, err)
	}
	var open int
	err := owner.QueryRow(t.Context(), `SELECT count(*) FROM pg_class WHERE relnamespace = 'vault'::regnamespace AND relkind = 'r'
		AND NOT (relrowsecurity AND relforcerowsecurity)`).Scan(&open)
	if err != nil || open != 0 {
		t.Errorf("%d tables without forced row-level security, %v", open, err)
	}
}

func TestMigrationTwiceAndBack(t *testing.T) {
	url, pool := database(t)
	v := Open(pool, masterKey)
	sealed := seal(t, v, ann, "text")
	up, err := os.ReadFile(filepath.Join("..", "..", "migrations", "0002_vault.up.sql"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := poolOf(t, url, "").Exec(t.Context(), string(up)); err != nil {
		t.Fatalf("the migration cannot be applied twice: %v", err)
	}
	opens(t, Open(pool, masterKey), ann, sealed, "text")
	if err := migrations.Down(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	fails(t, Open(poolOf(t, url, "atelier_vault"), masterKey), ann, sealed, ErrTampered)
}

func TestCache(t *testing.T) {
	c := newCache(2)
	now := time.Now()
	keys := map[string]*accountKey{}
	ids := map[string]uuid.UUID{}
	for _, name := range []string{"a", "b", "c"} {
		keys[name], ids[name] = &accountKey{}, uuid.New()
	}
	c.put(ids["a"], keys["a"], now)
	c.put(ids["b"], keys["b"], now)
	c.get(ids["a"], now) // b is now the one not used for longest
	c.put(ids["c"], keys["c"], now)
	if c.get(ids["b"], now) != nil || c.get(ids["a"], now) != keys["a"] || c.get(ids["c"], now) != keys["c"] {
		t.Error("not the least recently used one went")
	}
	if len(c.entries) != 2 || c.recent.Len() != 2 {
		t.Errorf("%d entries, want 2", len(c.entries))
	}
	if c.get(ids["a"], now.Add(keyTTL-1)) == nil || c.get(ids["a"], now.Add(keyTTL)) != nil {
		t.Error("a key does not live for keyTTL")
	}
	c.put(ids["c"], &accountKey{destroyed: true}, now)
	c.put(ids["c"], keys["c"], now) // read before it was destroyed
	if !c.get(ids["c"], now).destroyed {
		t.Error("a destroyed key came back")
	}
}

func TestLoadMasterKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	keys := make([][]byte, 8)
	errs := make([]error, len(keys))
	var work sync.WaitGroup
	for i := range keys {
		work.Go(func() { keys[i], errs[i] = LoadMasterKey(path) })
	}
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if len(key) != MasterKeyBytes || !bytes.Equal(key, keys[0]) {
			t.Fatalf("keys %x and %x", key, keys[0])
		}
	}
	info, err := os.Stat(path)
	if err != nil || (runtime.GOOS != "windows" && info.Mode().Perm() != 0o600) {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("%d files are left, want 1", len(files))
	}
	for _, text := range []string{"", "c2hvcnQ=", "not base64"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if key, err := LoadMasterKey(path); err == nil || key != nil {
			t.Errorf("%q is taken for a key", text)
		}
	}
	if _, err := LoadMasterKey(filepath.Join(path, "none")); err == nil {
		t.Error("a path that cannot be is taken")
	}
}

func BenchmarkOpen(b *testing.B) {
	v := &Vault{master: deriveMasterKeys(masterKey), cache: newCache(keysCachedMax), now: time.Now}
	v.cache.put(uuid.MustParse(ann), newAccountKey(masterKey), time.Now().Add(time.Hour))
	sealed, err := v.Seal(b.Context(), ann, bytes.Repeat([]byte("x"), 1024))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Open(b.Context(), ann, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
