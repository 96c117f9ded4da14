package generator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"atelier/internal/media"
	"atelier/schemas"
)

// The journal guards money. Before a paid call its attempt is claimed by
// creating an object that must not exist yet; after the call its result is kept
// beside it. Whoever comes later, after a crash or a rebalance, finds the claim
// and uses the result, or waits for it: no finished call is made again.
//
//	journal/<generation>/<attempt>         the claim
//	journal/<generation>/<attempt>.image   the picture, until the generation has ended
//	journal/<generation>/<attempt>.result  what came of the call; written last
//	journal/<generation>/<attempt>-judge-<call>         the claim of a call of the judge
//	journal/<generation>/<attempt>-judge-<call>.result  what came of it
//
// Claims and results hold no personal text and are small. The janitor erases them
// once no generation of their age can be open: a day past the longest deadline.
type journal struct {
	media Media
}

// Media is what the generator needs of the media store; *media.Store is one.
type Media interface {
	Get(ctx context.Context, key string) ([]byte, media.Attributes, error)
	Put(ctx context.Context, key string, data []byte, mimeType string) error
	// PutIfAbsent creates an object at most once, whoever asks.
	PutIfAbsent(ctx context.Context, key string, data []byte) (created bool, err error)
	Delete(ctx context.Context, key string) error
}

func isNotFound(err error) bool { return errors.Is(err, media.ErrNotFound) }

func ignoreNotFound(err error) error {
	if isNotFound(err) {
		return nil
	}
	return err
}

const journalVersion = 1

// claim is what stands in an attempt's object: enough to count the call if
// nobody ever tells what came of it.
type claim struct {
	Version int `json:"version"`
	// Owner is whose call it is. A store that repeats a lost answer by itself can
	// tell somebody that the claim is another's which is their own.
	Owner string `json:"owner"`
	Model string `json:"model"`
	Seed  int    `json:"seed"`
	// EstimateMicros is what the call will cost, millionths of a US dollar.
	EstimateMicros int64     `json:"estimate_micros"`
	StartedAt      time.Time `json:"started_at"`
	// Until is when the result is there at the latest.
	Until time.Time `json:"until"`
}

// lost is the attempt of a call of which nobody knows what came.
func (c claim) lost(number int) schemas.Attempt {
	return schemas.Attempt{Number: number, Model: c.Model, Seed: c.Seed, Outcome: outcomeLost, CostMicros: c.EstimateMicros}
}

// result is what came of a call.
type result struct {
	Version int `json:"version"`
	// Attempt tells of the call; the checks' verdicts are not in it.
	Attempt      schemas.Attempt `json:"attempt"`
	StartedAt    time.Time       `json:"started_at"`
	ModelVersion string          `json:"model_version,omitempty"`
	// Template is what the prompt was made from.
	Template        string `json:"template"`
	TemplateVersion int    `json:"template_version"`
	// Failure is set where no picture came.
	Failure *failure `json:"failure,omitempty"`
	// SHA256 of the picture, hex; empty where none came.
	SHA256 string `json:"sha256,omitempty"`

	image []byte
}

// failure is why no picture came, as data.
type failure struct {
	// Code is stable: it becomes the reason of a failed generation.
	Code string `json:"code"`
	// Fault is whose it was: user, ours or model.
	Fault string `json:"fault"`
	// Detail is for the person, without personal text.
	Detail string `json:"detail,omitempty"`
	// Retriable failures get another attempt.
	Retriable bool `json:"retriable"`
}

var (
	errDamaged = errors.New("damaged journal entry")
	// errGone is a picture that is no longer kept, or not as it was.
	errGone = errors.New("the picture is gone")
	// errReleased is a claim that went away while it was looked at: the call
	// was refused by a quota and its attempt is free again.
	errReleased = errors.New("the attempt is free again")
)

func attemptKey(generation string, number int) string {
	return "journal/" + generation + "/" + strconv.Itoa(number)
}

// begin claims an attempt. It returns false where somebody has.
func (j journal) begin(ctx context.Context, generation string, number int, c claim) (bool, error) {
	c.Version = journalVersion
	return j.create(ctx, attemptKey(generation, number), c)
}

// release gives an attempt back whose call was refused unseen and unpaid.
func (j journal) release(ctx context.Context, generation string, number int) error {
	return j.media.Delete(ctx, attemptKey(generation, number))
}

// finish keeps what came of a call and returns what holds: another's result
// where that was first, as of an attempt given up for lost.
func (j journal) finish(ctx context.Context, generation string, number int, r result) (result, error) {
	key := attemptKey(generation, number)
	r.Version = journalVersion
	if len(r.image) > 0 {
		sum := sha256.Sum256(r.image)
		r.SHA256 = hex.EncodeToString(sum[:])
		if err := j.media.Put(ctx, key+".image", r.image, "application/octet-stream"); err != nil {
			return r, fmt.Errorf("keep the picture of %s: %w", key, err)
		}
	}
	created, err := j.create(ctx, key+".result", r)
	if err != nil || created {
		return r, err
	}
	return j.read(ctx, generation, number)
}

// read returns what is kept of an attempt. Where nothing is, isNotFound knows the
// error; errGone comes with the result that has lost its picture.
func (j journal) read(ctx context.Context, generation string, number int) (result, error) {
	var r result
	key := attemptKey(generation, number)
	if err := j.load(ctx, key+".result", &r); err != nil {
		return r, err
	}
	if r.SHA256 == "" {
		return r, nil
	}
	image, _, err := j.media.Get(ctx, key+".image")
	if err != nil && !isNotFound(err) {
		return r, fmt.Errorf("read the picture of %s: %w", key, err)
	}
	if sum := sha256.Sum256(image); err != nil || hex.EncodeToString(sum[:]) != r.SHA256 {
		return r, fmt.Errorf("%w: %s", errGone, key)
	}
	r.image = image
	return r, nil
}

// summary is read without the picture.
func (j journal) summary(ctx context.Context, generation string, number int) (result, bool, error) {
	var r result
	err := j.load(ctx, attemptKey(generation, number)+".result", &r)
	return r, err == nil, ignoreNotFound(err)
}

// claimed returns an attempt's claim, false where there is none.
func (j journal) claimed(ctx context.Context, generation string, number int) (claim, bool, error) {
	var c claim
	err := j.load(ctx, attemptKey(generation, number), &c)
	return c, err == nil, ignoreNotFound(err)
}

// forget deletes the pictures of a generation that has ended: they are in the
// media store under the account's own keys, or refused.
func (j journal) forget(ctx context.Context, generation string, attempts int) error {
	var errs []error
	for n := 1; n <= attempts; n++ {
		errs = append(errs, j.media.Delete(ctx, attemptKey(generation, n)+".image"))
	}
	return errors.Join(errs...)
}

// claimJudge claims a call of the judge. It returns false where somebody has.
func (j journal) claimJudge(ctx context.Context, key string, c claim) (bool, error) {
	c.Version = journalVersion
	return j.create(ctx, key, c)
}

// finishJudge keeps what came of a call of the judge and returns what holds.
func (j journal) finishJudge(ctx context.Context, key string, r judgement) (judgement, error) {
	r.Version = journalVersion
	created, err := j.create(ctx, key+".result", r)
	if err != nil || created {
		return r, err
	}
	return j.judgement(ctx, key)
}

// judgement returns what is kept of a call of the judge. Where nothing is,
// isNotFound knows the error.
func (j journal) judgement(ctx context.Context, key string) (judgement, error) {
	var r judgement
	err := j.load(ctx, key+".result", &r)
	return r, err
}

// judgeSpend is what the judge's calls for an attempt cost, those that were lost
// at their estimate. ongoing says that one may be under way.
func (j journal) judgeSpend(ctx context.Context, generation string, number int) (sum judged, ongoing bool, err error) {
	for n := 1; n <= judgeCallsMax; n++ {
		key := judgeKey(generation, number, n)
		var c claim
		if err := j.load(ctx, key, &c); err != nil {
			return sum, false, ignoreNotFound(err)
		}
		r, err := j.judgement(ctx, key)
		switch {
		case err == nil:
			sum.add(r)
		case !isNotFound(err):
			return sum, false, err
		case time.Now().Before(c.Until):
			return sum, true, nil
		default:
			sum.costMicros += c.EstimateMicros
		}
	}
	return sum, false, nil
}

func (j journal) create(ctx context.Context, key string, value any) (bool, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return false, fmt.Errorf("encode %s: %w", key, err)
	}
	created, err := j.media.PutIfAbsent(ctx, key, encoded)
	if err != nil {
		return false, fmt.Errorf("create %s: %w", key, err)
	}
	return created, nil
}

func (j journal) load(ctx context.Context, key string, into any) error {
	encoded, _, err := j.media.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	if err := json.Unmarshal(encoded, into); err != nil {
		return fmt.Errorf("%w: %s: %w", errDamaged, key, err)
	}
	return nil
}
