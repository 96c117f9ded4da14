package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"atelier/projections"
	"atelier/schemas"
)

// settled is what became of a command, as the feed or the outcomes read model
// knows it.
type settled struct {
	commandID string
	// command is its name, such as RequestGeneration; empty where the feed tells
	// of a command that was accepted.
	command string
	// rejected is nil where it was accepted.
	rejected            *rejection
	batchID, resourceID string
	events              []CommandEvent
	// last is the position of its last event.
	last string
	// told are the events themselves, nil where the read model told.
	told []schemas.Event

	key  string
	hash []byte
}

// rejection is why a command was refused.
type rejection struct {
	code, detail string
	figures      map[string]int64
	// first is the command that used the idempotency key first; may be empty.
	first string
}

// pointsAt is the command that used the idempotency key first, where the outcome
// only says that there was one; else empty.
func (s *settled) pointsAt() string {
	if s == nil || s.rejected == nil || s.rejected.code != schemas.CodeDuplicate {
		return ""
	}
	return s.rejected.first
}

func (r *rejection) refusal() *refusal {
	return &refusal{code: r.code, detail: r.detail, figures: r.figures}
}

// settledOf is the feed's outcome in the words of the read model.
func settledOf(o Outcome) *settled {
	s := &settled{commandID: o.CommandID, last: o.Last.String(), told: o.Events}
	first := o.Events[0].Meta()
	s.key, s.hash = first.IdempotencyKey, first.RequestHash
	if r := o.Rejected; r != nil {
		s.command = shortName(r.Command)
		s.rejected = &rejection{code: r.Code, detail: r.Detail, figures: r.Figures, first: r.FirstCommandID}
	}
	for i, e := range o.Events {
		at := o.Last
		at.Offset -= int64(len(o.Events) - 1 - i) // they stand together
		s.events = append(s.events, CommandEvent{Type: schemas.ShortName(e), ID: uuidOf(e.Meta().ID), Position: at.String()})
		s.subject(e)
	}
	return s
}

// subject notes which batch, image, brand or asset an event is about.
func (s *settled) subject(event schemas.Event) {
	switch e := event.(type) {
	case *schemas.BatchRequested:
		s.batchID = e.BatchID
	case *schemas.GenerationCanceled:
		s.batchID = e.BatchID
	case *schemas.ImageRated:
		s.batchID, s.resourceID = e.BatchID, e.GenerationID
	case *schemas.ImageComposed:
		s.batchID, s.resourceID = e.BatchID, e.GenerationID
	case *schemas.ImageDeleted:
		s.batchID, s.resourceID = e.BatchID, e.GenerationID
	case *schemas.ImageRestored:
		s.batchID, s.resourceID = e.BatchID, e.GenerationID
	case *schemas.BrandSaved:
		s.resourceID = e.BrandID
	case *schemas.BrandArchived:
		s.resourceID = e.BrandID
	case *schemas.BrandRestored:
		s.resourceID = e.BrandID
	case *schemas.AssetAdded:
		s.resourceID = e.AssetID
	case *schemas.AssetRemoved:
		s.resourceID = e.AssetID
	}
}

func shortName(full string) string { return full[strings.LastIndexByte(full, '.')+1:] }

func uuidOf(text string) uuid.UUID { return schemas.ID16(text) }

const outcomeColumns = `command_id::text, command, status, code, detail, figures, coalesce(first_command_id::text, ''),
	idempotency_key, request_hash, coalesce(batch_id::text, ''), coalesce(resource_id::text, ''), events, last_position`

// wholeOutcome leaves out those of which a part is not applied yet.
const wholeOutcome = `jsonb_array_length(events) >= total`

func scanOutcome(row pgx.Row) (*settled, error) {
	var s settled
	var r rejection
	var status string
	var figures, events []byte
	err := row.Scan(&s.commandID, &s.command, &status, &r.code, &r.detail, &figures, &r.first,
		&s.key, &s.hash, &s.batchID, &s.resourceID, &events, &s.last)
	if err != nil {
		return nil, err
	}
	s.command = shortName(s.command)
	if status == string(CommandOutcomeStatusRejected) {
		s.rejected = &r
		if err := json.Unmarshal(figures, &r.figures); err != nil {
			return nil, fmt.Errorf("outcome %s: figures: %w", s.commandID, err)
		}
	}
	if err := json.Unmarshal(events, &s.events); err != nil {
		return nil, fmt.Errorf("outcome %s: events: %w", s.commandID, err)
	}
	return &s, nil
}

// recordedOutcome reads a command's outcome from the read model, nil where there
// is none (yet, or any more).
func (s *Server) recordedOutcome(ctx context.Context, account, commandID string) (*settled, error) {
	return s.oneOutcome(ctx, account, nil, `SELECT `+outcomeColumns+` FROM outcomes_api.outcomes WHERE command_id = $1 AND `+wholeOutcome, commandID)
}

// outcomeOfKey reads the outcome of the command that used an idempotency key
// first, nil where there is none. Later ones only point at it. The outcomes have reached
// behind, if it is not nil.
func (s *Server) outcomeOfKey(ctx context.Context, account, key string, behind *projections.Position) (*settled, error) {
	return s.oneOutcome(ctx, account, behind, `SELECT `+outcomeColumns+` FROM outcomes_api.outcomes
		WHERE idempotency_key = $1 AND `+wholeOutcome+` AND NOT (first_command_id IS NOT NULL AND code IN ('`+
		schemas.CodeDuplicate+`', '`+schemas.CodeIdempotencyConflict+`')) ORDER BY at, command_id LIMIT 1`, key)
}

func (s *Server) oneOutcome(ctx context.Context, account string, behind *projections.Position, query, argument string) (found *settled, err error) {
	look := func(ctx context.Context, tx pgx.Tx) (err error) {
		found, err = scanOutcome(tx.QueryRow(ctx, query, argument))
		if errors.Is(err, pgx.ErrNoRows) {
			found, err = nil, nil
		}
		return err
	}
	if behind != nil {
		_, err = s.readAt(ctx, account, []string{outcomesName}, behind, look)
	} else {
		err = projections.Read(ctx, s.config.Pool, account, func(tx pgx.Tx) error { return look(ctx, tx) })
	}
	if err != nil {
		return nil, fmt.Errorf("read outcome: %w", err)
	}
	return found, nil
}

// outcomeOf looks for a command's outcome in the feed, then in the read model.
func (s *Server) outcomeOf(ctx context.Context, account, commandID string) (*settled, error) {
	if o, ok := s.config.Feed.Find(commandID); ok {
		if o.AccountID != account {
			return nil, nil
		}
		return settledOf(o), nil
	}
	return s.recordedOutcome(ctx, account, commandID)
}

// readOutcome reads what an outcome led to from a projection, as soon as that has
// reached it.
func (s *Server) readOutcome(ctx context.Context, account, projection string, o *settled, fn func(context.Context, pgx.Tx) error) error {
	last, err := projections.ParsePosition(o.last)
	if err != nil {
		return fmt.Errorf("outcome %s: %w", o.commandID, err)
	}
	_, err = s.readAt(ctx, account, []string{projection}, &last, fn)
	return err
}

// answers says whether the outcome is of the same request; the error is the
// conflict where the key was used for another.
func (s *settled) answers(a attempt) error {
	if !bytes.Equal(s.hash, a.hash) {
		return refuse(schemas.CodeIdempotencyConflict, "the Idempotency-Key was used for another request")
	}
	return nil
}

// commandsKept is how long the command log keeps what was asked: until then a
// command that has no outcome may still get one.
const commandsKept = 7 * 24 * time.Hour

// GetCommand implements ServerInterface.
func (s *Server) GetCommand(c *fiber.Ctx, commandID uuid.UUID) error {
	id := commandID.String()
	found, err := s.outcomeOf(c.UserContext(), accountOf(c), id)
	if err != nil {
		return err
	}
	if first := found.pointsAt(); first != "" {
		// A retry that was not decided in time: what it asked for is what its key's
		// first command led to.
		if found, err = s.outcomeOf(c.UserContext(), accountOf(c), first); err != nil {
			return err
		}
		if found == nil {
			return c.JSON(CommandOutcome{ID: commandID, Status: CommandOutcomeStatusPending})
		}
	}
	if found != nil {
		c.Set(positionHeader, found.last)
		answer := found.answer(correlationOf(c))
		answer.ID = commandID
		return c.JSON(answer)
	}
	made, ok := madeAt(commandID)
	if !ok || s.now().Sub(made) > commandsKept || made.Sub(s.now()) > time.Minute {
		return refuse(codeNotFound, "no command has this ID")
	}
	return c.JSON(CommandOutcome{ID: commandID, Status: CommandOutcomeStatusPending})
}

// madeAt is the time in a UUIDv7 (RFC 9562, 5.7).
func madeAt(id uuid.UUID) (time.Time, bool) {
	if id.Version() != 7 {
		return time.Time{}, false
	}
	seconds, nanoseconds := id.Time().UnixTime()
	return time.Unix(seconds, nanoseconds), true
}

func (s *settled) answer(correlation string) CommandOutcome {
	answer := CommandOutcome{ID: uuidOf(s.commandID), Status: CommandOutcomeStatusDone, Position: &s.last, Events: &s.events}
	if s.command != "" {
		answer.Command = &s.command
	}
	if s.batchID != "" {
		id := uuidOf(s.batchID)
		answer.BatchID = &id
	}
	if s.resourceID != "" {
		id := uuidOf(s.resourceID)
		answer.ResourceID = &id
	}
	if s.rejected != nil {
		answer.Status = CommandOutcomeStatusRejected
		problem := s.rejected.refusal().body(correlation)
		answer.Rejection = &problem
	}
	return answer
}
