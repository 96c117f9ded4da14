// Package postgres opens connection pools to Postgres the way every part of
// Atelier uses them: in UTC, under the part's own role, and without a password
// in any error.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
)

const (
	// connectTimeout bounds one attempt to connect, unless the URL says
	// otherwise by connect_timeout.
	connectTimeout = 5 * time.Second
	// retryPause is how long WaitReady waits between two attempts.
	retryPause = 500 * time.Millisecond
	// DefaultMaxConns is a pool's size when Config says nothing (connections).
	// Small, because every role of a node opens a pool and Postgres takes 100.
	DefaultMaxConns = 8
)

// Config says where Postgres is and as whom to work there.
type Config struct {
	// URL is a connection URL or a key=value string with the connecting user.
	URL string
	// Role is taken by SET ROLE on every new connection; empty keeps the
	// connecting user. The user must be a member of the role.
	Role string
	// MaxConns bounds the pool; 0 is DefaultMaxConns.
	MaxConns int32
	// Pooler is for a transaction pooler (PgBouncer, Supavisor) between us and
	// the server: nothing is prepared or cached, because the next statement may
	// run on another connection. For the same reason SET ROLE would hit whoever
	// uses that connection next, so with Role set the URL must log in as that
	// role, and Open refuses anything else.
	Pooler bool
}

// Open makes a pool and proves that one connection works. Close the pool when
// done. Errors name the host, never the password.
func Open(ctx context.Context, config Config) (*pgxpool.Pool, error) {
	settings, err := parse(config)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("open postgres at %s: %w", host(settings), redact(err, settings))
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open postgres at %s: %w", host(settings), redact(err, settings))
	}
	return pool, nil
}

// WaitReady tries to connect until it works, patience runs out, or the server
// refuses for a reason that waiting does not cure (a wrong password, a missing
// database). It says once where it waits and how long it will.
func WaitReady(ctx context.Context, config Config, patience time.Duration, log zerolog.Logger) error {
	settings, err := parse(config)
	if err != nil {
		return err
	}
	asked := ctx
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(retryPause)
	defer tick.Stop()
	for attempt := 1; ; attempt++ {
		err := try(ctx, settings)
		if err == nil {
			return nil
		}
		err = redact(err, settings)
		if !worthWaiting(err) {
			return fmt.Errorf("postgres at %s: %w", host(settings), err)
		}
		if attempt == 1 {
			log.Warn().Str("host", host(settings)).Stringer("tries_for", patience).AnErr("cause", err).Msg("waiting for postgres")
		}
		select {
		case <-asked.Done():
			return fmt.Errorf("waiting for postgres at %s: %w", host(settings), asked.Err())
		case <-ctx.Done():
			return fmt.Errorf("postgres at %s not ready after %s and %d attempts: %w", host(settings), patience, attempt, err)
		case <-tick.C:
		}
	}
}

func try(ctx context.Context, settings *pgxpool.Config) error {
	conn, err := pgx.ConnectConfig(ctx, settings.ConnConfig.Copy())
	if err != nil {
		return err
	}
	return errors.Join(conn.Ping(ctx), conn.Close(ctx))
}

// worthWaiting: the server could not be reached, or is starting, stopping or
// full (classes 57P and 53). Any other answer will be the same next time.
func worthWaiting(err error) bool {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return true
	}
	return strings.HasPrefix(answer.Code, "57P") || strings.HasPrefix(answer.Code, "53")
}

// parse checks config and turns it into pgx's.
func parse(config Config) (*pgxpool.Config, error) {
	if config.URL == "" {
		return nil, errors.New("postgres: no connection URL")
	}
	if config.MaxConns < 0 {
		return nil, fmt.Errorf("postgres: %d connections at most", config.MaxConns)
	}
	settings, err := pgxpool.ParseConfig(config.URL)
	if err != nil {
		// pgx hides passwords in the text it quotes, except where it cannot
		// tell where the password ends: none of it is passed on.
		return nil, errors.New("postgres: the connection URL is malformed")
	}
	settings.MaxConns = DefaultMaxConns
	if config.MaxConns > 0 {
		settings.MaxConns = config.MaxConns
	}
	if settings.ConnConfig.ConnectTimeout == 0 || settings.ConnConfig.ConnectTimeout > time.Minute {
		settings.ConnConfig.ConnectTimeout = connectTimeout
	}
	session := settings.ConnConfig.RuntimeParams
	if session["application_name"] == "" {
		session["application_name"] = applicationName(config.Role)
	}
	if config.Pooler {
		// Poolers refuse start-up parameters that they do not track; timezone
		// and application_name are tracked by all.
		settings.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
		settings.ConnConfig.StatementCacheCapacity = 0
		settings.ConnConfig.DescriptionCacheCapacity = 0
	}
	session["timezone"] = "UTC"
	switch {
	case config.Role != "" && config.Pooler:
		settings.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { return beRole(ctx, conn, config.Role) }
	case config.Role != "":
		settings.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { return takeRole(ctx, conn, config.Role) }
	}
	return settings, nil
}

func takeRole(ctx context.Context, conn *pgx.Conn, role string) error {
	if _, err := conn.Exec(ctx, "SET ROLE "+pgx.Identifier{role}.Sanitize()); err != nil {
		return fmt.Errorf("take role %s: %w", role, err)
	}
	return nil
}

func beRole(ctx context.Context, conn *pgx.Conn, role string) error {
	var user string
	if err := conn.QueryRow(ctx, "SELECT current_user").Scan(&user); err != nil {
		return fmt.Errorf("ask for current user: %w", err)
	}
	if user != role {
		return fmt.Errorf("logged in as %s, not %s: through a transaction pooler the URL must log in as the role", user, role)
	}
	return nil
}

func applicationName(role string) string {
	if role == "" {
		return "atelier"
	}
	return role
}

// host is what an error or a log line may say about where the server is.
func host(settings *pgxpool.Config) string {
	c := settings.ConnConfig
	return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))) + "/" + c.Database
}

// redact takes the password out of an error's text, should a driver or a proxy
// ever put it there. The chain survives when there is nothing to take out.
func redact(err error, settings *pgxpool.Config) error {
	password := settings.ConnConfig.Password
	if password == "" || !strings.Contains(err.Error(), password) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), password, "xxxxx"))
}
