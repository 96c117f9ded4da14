package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"atelier/internal/embedded/child"
)

const (
	// adoptSettle is how long a server that was left over must stay ready before
	// it is adopted. One whose parent was just killed is still ready for a moment
	// and then stops.
	adoptSettle = 300 * time.Millisecond
	// adoptWait bounds the wait for a server that starts or stops.
	adoptWait = 30 * time.Second
	// leftoverWait is how long backends without a server get to end by
	// themselves before they are killed.
	leftoverWait = 5 * time.Second
)

// postmaster is what a server writes into postmaster.pid (src/include/utils/pidfile.h).
type postmaster struct {
	pid, port int
	status    string // starting, ready, stopping; "" before the first
}

func readPostmaster(data string) (postmaster, error) {
	f, err := os.Open(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return postmaster{}, err
	}
	defer f.Close()
	const linePID, linePort, lineStatus = 1, 4, 8
	var p postmaster
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		switch n {
		case linePID:
			// A standalone backend writes its number negative.
			if p.pid, err = strconv.Atoi(strings.TrimPrefix(text, "-")); err != nil {
				return postmaster{}, fmt.Errorf("postmaster.pid: %w", err)
			}
		case linePort:
			if p.port, err = strconv.Atoi(text); err != nil {
				return postmaster{}, fmt.Errorf("postmaster.pid: %w", err)
			}
		case lineStatus:
			p.status = text
		}
	}
	return p, lines.Err()
}

// adopt returns our own server if one runs on the data directory, and clears
// away what a killed one has left. Nil and no error: nothing runs.
func adopt(ctx context.Context, place postgresPlace, log zerolog.Logger) (*Postgres, error) {
	wait, cancel := context.WithTimeout(ctx, adoptWait)
	defer cancel()
	found, err := settle(wait, place)
	if err != nil {
		return nil, err
	}
	if found.pid == 0 {
		return nil, clearLeftovers(ctx, place, log)
	}
	password, err := place.readPassword()
	if err != nil {
		return nil, err
	}
	if password != "" {
		return &Postgres{url: serverURL(found.port, password), pid: found.pid, place: place, log: log}, nil
	}
	// Somebody removed the directory from under the server: it is of no use.
	log.Warn().Int("pid", found.pid).Msg("stopping a postgres whose password is gone")
	stale := &Postgres{pid: found.pid, place: place, log: log}
	return nil, stale.Close(wait)
}

// settle waits until the server on the data directory is ready and stays so, or
// is gone (pid 0).
func settle(ctx context.Context, place postgresPlace) (postmaster, error) {
	tick := time.NewTicker(postgresPoll)
	defer tick.Stop()
	var readySince time.Time
	for {
		p, err := readPostmaster(place.data)
		if errors.Is(err, os.ErrNotExist) || err == nil && !serves(p, place) {
			return postmaster{}, nil
		}
		switch {
		case err != nil || p.status != "ready" || !answers(p.port):
			readySince = time.Time{}
		case readySince.IsZero():
			readySince = time.Now()
		case time.Since(readySince) >= adoptSettle:
			return p, nil
		}
		select {
		case <-ctx.Done():
			return postmaster{}, fmt.Errorf("process %d on %s neither gets ready nor ends: %w", p.pid, place.data, ctx.Err())
		case <-tick.C:
		}
	}
}

// serves tells whether p's process really works on the data directory: its
// number may have gone to somebody else, or be a zombie's.
func serves(p postmaster, place postgresPlace) bool {
	if !child.Alive(p.pid) {
		return false
	}
	pids, known := child.In(place.data)
	if !known {
		return true
	}
	for _, pid := range pids {
		if pid == p.pid {
			return true
		}
	}
	// The server changes into its directory right after it has written the file,
	// so a file of this second may be ahead of it.
	info, err := os.Stat(filepath.Join(place.data, "postmaster.pid"))
	return err == nil && time.Since(info.ModTime()) < time.Second
}

// answers tells whether somebody listens on the server's port.
func answers(port int) bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// clearLeftovers ends backends whose server was killed (they hold its shared
// memory, and a new server refuses to start beside them) and removes a
// postmaster.pid that names a zombie or a stranger. It does neither where the
// machine cannot tell who works in the directory.
func clearLeftovers(ctx context.Context, place postgresPlace, log zerolog.Logger) error {
	pids, known := child.In(place.data)
	if !known {
		return nil
	}
	if len(pids) > 0 {
		log.Warn().Ints("pids", pids).Msg("ending postgres backends whose server was killed")
		if err := end(ctx, pids); err != nil {
			return fmt.Errorf("end leftover backends: %w", err)
		}
	}
	err := os.Remove(filepath.Join(place.data, "postmaster.pid"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove stale postmaster.pid: %w", err)
	}
	return nil
}

func end(ctx context.Context, pids []int) error {
	for _, s := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		for _, pid := range pids {
			if err := child.Kill(pid, s); err != nil {
				return err
			}
		}
		wait, cancel := context.WithTimeout(ctx, leftoverWait)
		err := waitEnded(wait, pids)
		cancel()
		if err == nil || s == syscall.SIGKILL {
			return err
		}
	}
	return nil
}
