package embedded

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"atelier/internal/embedded/child"
)

const (
	// rootStateDir is where root's servers live when the wanted directory
	// cannot be reached by the user that Postgres runs as.
	rootStateDir = "/var/lib/atelier"
	// passwordBytes is the entropy of a server's password.
	passwordBytes = 24
	// clusterVersion is the file that initdb writes into a cluster.
	clusterVersion = "PG_VERSION"
)

// postgresPlace is where one server lives and as whom it runs.
type postgresPlace struct {
	base  string // directory of ours that the owner can walk: data and the log
	data  string // the cluster, owned by owner
	keys  string // the wanted directory: holds the password, readable by us alone
	owner owner
	bin   string // where the server's programs are; empty for an adopted one
}

func (p postgresPlace) logFile() string      { return filepath.Join(p.base, "server.log") }
func (p postgresPlace) passwordFile() string { return filepath.Join(p.keys, "password") }

// findPlace makes the directories. Root cannot run Postgres, and the user that
// does may not reach dir (below /root, say): then the cluster lives in a
// directory whose name follows from dir, and the log says so.
func findPlace(dir string, log zerolog.Logger) (postgresPlace, error) {
	if dir == "" {
		return postgresPlace{}, errors.New("no data directory")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return postgresPlace{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return postgresPlace{}, fmt.Errorf("make data directory: %w", err)
	}
	// Postgres and /proc know a directory by its real path.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return postgresPlace{}, err
	}
	owner, err := findOwner()
	if err != nil {
		return postgresPlace{}, err
	}
	place := postgresPlace{base: dir, keys: dir, owner: owner}
	if !owner.canWalk(dir) {
		sum := sha256.Sum256([]byte(dir))
		place.base = filepath.Join(rootStateDir, hex.EncodeToString(sum[:8]), "postgres")
		if err := os.MkdirAll(place.base, 0o755); err != nil {
			return postgresPlace{}, fmt.Errorf("make data directory: %w", err)
		}
		if !owner.canWalk(place.base) {
			return postgresPlace{}, fmt.Errorf("user %s, as whom postgres has to run, can reach neither %s nor %s", owner.name, dir, place.base)
		}
		log.Info().Str("wanted", dir).Str("used", place.base).Str("user", owner.name).
			Msg("postgres cannot run as root nor reach its directory, using another")
	}
	place.data = filepath.Join(place.base, "data")
	return place, nil
}

// initialise makes the cluster if there is none, and returns its password.
func (p postgresPlace) initialise(ctx context.Context, programs programs, volatile bool) (password string, err error) {
	made, err := exists(filepath.Join(p.data, clusterVersion))
	if err != nil {
		return "", err
	}
	password, err = p.readPassword()
	switch {
	case err != nil:
		return "", err
	case made && password != "":
		return password, p.sameVersion(programs)
	case made && p.base != p.keys:
		// The wanted directory was removed and with it everything this cluster
		// belonged to: rows of another life must not meet a new log.
		aside := fmt.Sprintf("%s.set-aside-%d", p.data, time.Now().Unix())
		if err := os.Rename(p.data, aside); err != nil {
			return "", fmt.Errorf("set old cluster aside: %w", err)
		}
	case made:
		return "", fmt.Errorf("cluster %s is there but its password file %s is not: restore it, or remove the directory to begin anew", p.data, p.passwordFile())
	}
	return p.makeCluster(ctx, programs, volatile)
}

// makeCluster runs initdb in a directory of its own and puts it into place when
// complete, so that a kill in between leaves nothing that looks like a cluster.
func (p postgresPlace) makeCluster(ctx context.Context, programs programs, volatile bool) (string, error) {
	password, err := newPassword()
	if err != nil {
		return "", err
	}
	draft := filepath.Join(p.base, "data.new")
	if err := os.RemoveAll(draft); err != nil {
		return "", err
	}
	if err := p.owner.makeDir(draft); err != nil {
		return "", fmt.Errorf("make cluster directory: %w", err)
	}
	defer os.RemoveAll(draft)
	pwfile := filepath.Join(p.base, "password.new")
	if err := p.owner.writeFile(pwfile, password+"\n"); err != nil {
		return "", fmt.Errorf("write password for initdb: %w", err)
	}
	defer os.Remove(pwfile)
	// Without a locale initdb gives SQL_ASCII, and a host's locale may be missing
	// or sort differently: the built-in one is the same everywhere.
	arguments := []string{
		"--pgdata", draft, "--username", postgresUser, "--pwfile", pwfile, "--auth", "scram-sha-256",
		"--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
	}
	if volatile {
		arguments = append(arguments, "--no-sync")
	}
	initdb := p.owner.commandContext(ctx, programs.path("initdb"), arguments...)
	initdb.Dir = p.base
	if err := child.Run(initdb); err != nil {
		return "", err
	}
	create := p.owner.commandContext(ctx, programs.path("postgres"), "--single", "-D", draft, "-c", "dynamic_shared_memory_type=mmap", "postgres")
	create.Dir, create.Stdin = p.base, strings.NewReader("CREATE DATABASE "+postgresDatabase+"\n")
	if err := child.Run(create); err != nil {
		return "", fmt.Errorf("make database: %w", err)
	}
	if err := os.WriteFile(p.passwordFile(), []byte(password+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write password: %w", err)
	}
	if err := os.Rename(draft, p.data); err != nil {
		return "", fmt.Errorf("put cluster into place: %w", err)
	}
	return password, nil
}

// sameVersion refuses to run a cluster of another major version, which Postgres
// would refuse too, in words that do not say what to do.
func (p postgresPlace) sameVersion(programs programs) error {
	raw, err := os.ReadFile(filepath.Join(p.data, clusterVersion))
	if err != nil {
		return err
	}
	if version := strings.TrimSpace(string(raw)); version != fmt.Sprint(programs.major) {
		return fmt.Errorf("cluster %s is of Postgres %s and the server is %d: upgrade it with pg_upgrade, or remove the directory to begin anew", p.data, version, programs.major)
	}
	return nil
}

// readPassword returns "" when there is none.
func (p postgresPlace) readPassword() (string, error) {
	raw, err := os.ReadFile(p.passwordFile())
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

func newPassword() (string, error) {
	raw := make([]byte, passwordBytes)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	return hex.EncodeToString(raw), nil
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
