package check

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"atelier/internal/media"
	"atelier/processors/decider"
	"atelier/projections"
	"atelier/schemas"
)

// readersMax bounds the pictures that are read at once (count).
const readersMax = 4

// checkMedia: what was paid for is in the media store, byte for byte, unless it lay in
// the bin for so long that the janitor may have erased it.
func checkMedia(ctx context.Context, c *Config, read *record, r *Report) error {
	now := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readersMax)
	var mu sync.Mutex
	for id, g := range read.books.generations {
		if g.media == nil {
			continue
		}
		group.Go(func() error {
			missing, err := missingMedia(ctx, c.Media, g.media)
			if err != nil {
				return err
			}
			if missing != "" && !g.binned.IsZero() && now.Sub(g.binned) >= media.EraseAfter {
				missing = ""
			}
			mu.Lock()
			defer mu.Unlock()
			r.C6.holds(missing == "", "generation %s was paid for, and %s", id, missing)
			return nil
		})
	}
	return group.Wait()
}

// missingMedia says what is wrong with an image's pictures, empty: nothing.
func missingMedia(ctx context.Context, store *media.Store, e *schemas.GenerationSucceeded) (string, error) {
	data, _, err := store.Get(ctx, e.Media.Key)
	switch sum := sha256.Sum256(data); {
	case errors.Is(err, media.ErrNotFound):
		return "its picture is not there", nil
	case err != nil:
		return "", err
	case int64(len(data)) != e.Media.Bytes || string(sum[:]) != string(e.Media.SHA256):
		return "its picture is another one", nil
	}
	_, _, err = store.Get(ctx, e.ThumbnailKey)
	if errors.Is(err, media.ErrNotFound) {
		return "its thumbnail is not there", nil
	}
	return "", err
}

// checkModels: the decider's snapshots and every read model are what the events
// fold to, and the read models have read to the end.
func checkModels(ctx context.Context, c *Config, read *record, r *Report) error {
	accounts, err := decider.VerifyAccounts(ctx, decider.Config{Kafka: c.Kafka, Codec: c.Codec}, c.progress("accounts"))
	if err != nil {
		return err
	}
	r.C7.Checked += accounts.Accounts
	for range accounts.Differ {
		r.C7.broke("snapshots differ, of accounts %v", accounts.Different)
	}
	for _, p := range projections.All {
		if err := checkModel(ctx, c, p.Name, read.ends, r); err != nil {
			return err
		}
	}
	return nil
}

func checkModel(ctx context.Context, c *Config, name string, ends map[int32]int64, r *Report) error {
	behind, err := behind(ctx, c, name, ends)
	if err != nil {
		return err
	}
	r.C7.holds(behind == 0, "%s has %d records of the log left to read", name, behind)
	report, err := projections.Verify(ctx, projections.Config{
		Kafka: c.Kafka, Pool: c.Pool, Codec: c.Codec, Open: c.Open, TopicGeneration: c.TopicGeneration,
		Progress: c.progress(name), Log: c.Log,
	}, name)
	if err != nil {
		return err
	}
	for _, t := range report.Tables {
		r.C7.Checked += max(t.Live.Count, t.Fold.Count)
		if !t.Equal() {
			r.C7.broke("%s.%s has %d rows (hash %s), the fold %d (%s)", name, t.Name, t.Live.Count, t.Live.Hash, t.Fold.Count, t.Fold.Hash)
		}
	}
	return nil
}

// behind returns how many records of atelier.events before the ends the live version
// of a projection has not read.
func behind(ctx context.Context, c *Config, name string, ends map[int32]int64) (int64, error) {
	positions, err := projections.Positions(ctx, c.Pool, name)
	if err != nil {
		return 0, err
	}
	var behind int64
	for partition, end := range ends {
		behind += max(0, end-positions[partition].Offset)
	}
	return behind, nil
}

// checkStreams: who followed the stream, through whatever disconnections, sees at
// the end what the read models show.
func checkStreams(ctx context.Context, c *Config, _ *record, r *Report) error {
	c.History.mu.Lock()
	defer c.History.mu.Unlock()
	for _, s := range c.History.streams {
		shown, available, held, err := shownTo(ctx, c, s.Account)
		if err != nil {
			return err
		}
		r.C9.holds(maps.Equal(shown, s.Generations), "account %s: the stream ended with other generations than the gallery: %s",
			s.Account, difference(s.Generations, shown))
		r.C9.holds(available == s.Available && held == s.Held, "account %s: the stream ended with %d available and %d held, the balance is %d and %d",
			s.Account, s.Available, s.Held, available, held)
		r.C9.holds(s.Disorder == 0, "account %s: %d events came again or out of order", s.Account, s.Disorder)
	}
	return nil
}

// shownTo is what the read models show to an account.
func shownTo(ctx context.Context, c *Config, account string) (generations map[string]string, available, held int64, err error) {
	generations = map[string]string{}
	err = projections.Read(ctx, c.Pool, account, func(tx pgx.Tx) error {
		clear(generations)
		rows, err := tx.Query(ctx, `SELECT generation_id::text, status FROM galleries_api.generations`)
		if err != nil {
			return err
		}
		var id, status string
		if _, err := pgx.ForEachRow(rows, []any{&id, &status}, func() error { generations[id] = status; return nil }); err != nil {
			return err
		}
		err = tx.QueryRow(ctx, `SELECT available, held FROM credits_api.balances`).Scan(&available, &held)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, 0, 0, fmt.Errorf("read account %s: %w", account, err)
	}
	return generations, available, held, nil
}

// difference names the first generation that two pictures of an account disagree on.
func difference(stream, shown map[string]string) string {
	for id, status := range shown {
		if stream[id] != status {
			return fmt.Sprintf("%s is %q in the stream and %q in the gallery", id, stream[id], status)
		}
	}
	for id, status := range stream {
		if shown[id] != status {
			return fmt.Sprintf("%s is %q in the stream and %q in the gallery", id, status, shown[id])
		}
	}
	return "none"
}
