package janitor

import (
	"context"
	"fmt"
	"time"

	"atelier/internal/media"
	"atelier/schemas"
)

const (
	// imagesPerLook bounds what one look erases of a partition, journalPerLook what it
	// erases of the journal (count); the next one goes on.
	imagesPerLook  = 1000
	journalPerLook = 10_000
	// imageTimeout bounds the erasing of one image, journalTimeout that of the journal.
	imageTimeout   = time.Minute
	journalTimeout = 5 * time.Minute
	// journalKept is how long the generators' journal is kept: a day past the longest
	// deadline (ATELIER_DEADLINE: 24 hours), when no generation of its age is open.
	journalKept = 48 * time.Hour
	// journalPartition is the one whose owner keeps the journal clean.
	journalPartition = 0
)

const journalPrefix = "journal/"

// look sets a target for every partition: the bin is looked through as of now once
// everything is read that stands in the log now.
func (l *loop) look(ctx context.Context, now time.Time) {
	ask, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	ends, err := l.admin.HighWatermarks(ask, schemas.TopicEvents)
	if err != nil {
		l.failed(ctx, err, "the end of the event log is not known: nothing is erased until the next look")
		return
	}
	for number, p := range l.owned() {
		p.target, p.asOf = ends[number], now
	}
}

// erase looks through the bins that are read as far as they have to be.
func (l *loop) erase(ctx context.Context) {
	for number, p := range l.owned() {
		if p.asOf.IsZero() || !p.caughtUp() {
			continue
		}
		if err := l.empty(ctx, p); err != nil {
			l.failed(ctx, err, "files of images cannot be erased: the next look goes on")
		}
		if number == journalPartition && ctx.Err() == nil {
			if err := l.cleanJournal(ctx, p.asOf); err != nil {
				l.failed(ctx, err, "the journal cannot be cleaned: the next look goes on")
			}
		}
		p.asOf = time.Time{}
	}
}

func (l *loop) failed(ctx context.Context, err error, what string) {
	if ctx.Err() != nil {
		return
	}
	l.metrics.failures.Inc()
	l.config.Log.Warn().Err(err).Dur("again_in", time.Until(l.next)).Msg(what)
}

// empty erases the files of the images of a partition that are due. What the store
// does not let go of stays in the bin.
func (l *loop) empty(ctx context.Context, p *partition) error {
	images, objects := 0, 0
	defer func() {
		if images > 0 {
			l.config.Log.Info().Int32("partition", p.number).Int("images", images).Int("objects", objects).Msg("images were erased")
		}
	}()
	for _, b := range p.due(imagesPerLook) {
		if ctx.Err() != nil || !l.owns(p) {
			return nil
		}
		n, err := l.eraseImage(ctx, b)
		objects += n
		l.metrics.objects.Add(float64(n))
		if err != nil {
			return err
		}
		p.forget(b)
		images++
		l.metrics.images.Inc()
	}
	return nil
}

// eraseImage erases whatever lies under the image's prefix.
func (l *loop) eraseImage(ctx context.Context, b *binned) (objects int, err error) {
	ctx, cancel := context.WithTimeout(ctx, imageTimeout)
	defer cancel()
	for more := true; more; {
		var keys []string
		if keys, more, err = l.config.Media.List(ctx, media.ImagePrefix(b.account, b.image)); err != nil {
			return objects, err
		}
		for _, key := range keys {
			if err := l.config.Media.Delete(ctx, key); err != nil {
				return objects, err
			}
			objects++
		}
	}
	return objects, nil
}

// cleanJournal erases the entries of the journal that are too old to be asked for. It
// goes in the order of keys, which puts an attempt before the mark that its spend was
// told: whoever finds the mark alone finds nothing to tell.
func (l *loop) cleanJournal(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, journalTimeout)
	defer cancel()
	erased := 0
	defer func() {
		if erased > 0 {
			l.metrics.journal.Add(float64(erased))
			l.config.Log.Info().Int("entries", erased).Msg("the journal was cleaned")
		}
	}()
	for object, err := range l.config.Media.Objects(ctx, journalPrefix) {
		if err != nil {
			return fmt.Errorf("list the journal: %w", err)
		}
		if now.Sub(object.ModTime) < journalKept {
			continue
		}
		if err := l.config.Media.Delete(ctx, object.Key); err != nil {
			return err
		}
		if erased++; erased == journalPerLook {
			return nil
		}
	}
	return nil
}
