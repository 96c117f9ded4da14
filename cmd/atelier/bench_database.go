package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"atelier/schemas"
)

// benchDatabase is a database that is made for one measurement.
type benchDatabase struct{ server, name, url string }

// makeDatabase makes one on the server of an address. Its user must be allowed to.
func makeDatabase(ctx context.Context, server string) (benchDatabase, error) {
	at, err := url.Parse(server)
	if err != nil {
		return benchDatabase{}, errNoDatabase
	}
	d := benchDatabase{server: server, name: "atelier_bench_" + strings.ReplaceAll(schemas.NewID(), "-", "")}
	if err := d.exec(ctx, "CREATE DATABASE "+d.name); err != nil {
		return d, fmt.Errorf("the user of DATABASE_URL may not make a database of its own to measure in (ALTER ROLE ... CREATEDB allows it): %w", err)
	}
	at.Path = "/" + d.name
	d.url = at.String()
	return d, nil
}

// drop removes it, also where a connection is left over or ctx has ended.
func (d benchDatabase) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), benchCleanTimeout)
	defer cancel()
	return d.exec(ctx, "DROP DATABASE IF EXISTS "+d.name+" WITH (FORCE)")
}

func (d benchDatabase) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, d.server)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
