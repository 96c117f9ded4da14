package api

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/rs/zerolog"

	"atelier/internal/kafka"
	"atelier/projections"
	"atelier/schemas"
)

const (
	// outcomeWait bounds how long a request waits for its command to be decided.
	outcomeWait = 2 * time.Second
	// outcomePoll is the pause between two looks at the outcomes read model while
	// a request waits: the feed tells nearly always, and at once.
	outcomePoll = 150 * time.Millisecond
	// produceTimeout bounds the wait for Kafka's acknowledgement.
	produceTimeout = 10 * time.Second
)

// execute does what a client asks for once, however often it asks:
//
//	register the waiter, read the outcomes, produce, read the outcomes again while waiting.
//
// build makes the command with the given metadata; it is not called where the
// first request with this key has an outcome. execute returns the outcome, or nil
// and the command's ID when it is not decided within outcomeWait.
func (s *Server) execute(ctx context.Context, a attempt, build func(schemas.CommandMetadata) (schemas.Command, error)) (*settled, string, error) {
	meta := schemas.CommandMetadata{
		ID: schemas.NewID(), AccountID: a.account, OccurredAt: s.now().UTC(),
		CorrelationID: a.correlation, CausationID: a.correlation,
		Actor:          schemas.Actor{Kind: schemas.ActorUser, ID: a.account, Via: "api"},
		IdempotencyKey: a.key, RequestHash: a.hash,
	}
	told, leave := s.config.Feed.Await(meta.ID)
	defer leave()
	if first, err := s.firstOutcome(ctx, a, nil); err != nil || first != nil {
		return first, "", err
	}
	command, err := build(meta)
	var refused *refusal
	if errors.As(err, &refused) && refused.seen != nil {
		// What it was refused for may be what the key's first command did.
		if first, err := s.firstOutcome(ctx, a, refused.seen); err != nil || first != nil {
			return first, "", err
		}
	}
	if err != nil {
		return nil, "", err
	}
	if err := s.produce(ctx, command); err != nil {
		return nil, "", err
	}
	return s.follow(ctx, a, meta.ID, told)
}

// firstOutcome is what the key's first command led to, nil where there is none. The
// outcomes have reached behind, if it is not nil: what another read model has shown
// already, for each is projected by itself.
func (s *Server) firstOutcome(ctx context.Context, a attempt, behind *projections.Position) (*settled, error) {
	if a.key == "" {
		return nil, nil
	}
	first, err := s.outcomeOfKey(ctx, a.account, a.key, behind)
	if err != nil || first == nil {
		return nil, err
	}
	return first, first.answers(a)
}

func (s *Server) produce(ctx context.Context, command schemas.Command) error {
	record, err := kafka.NewRecord(s.config.Codec, schemas.TopicCommands, command)
	if err != nil {
		return fmt.Errorf("encode command: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, produceTimeout)
	defer cancel()
	if err := s.config.Producer.Produce(ctx, record); err != nil {
		return unavailable("the command log", err)
	}
	m := command.Meta()
	s.metrics.commands.WithLabelValues(schemas.ShortName(command)).Inc()
	s.log(m.CorrelationID).Debug().Str("command", schemas.ShortName(command)).Str("command_id", m.ID).Str("account_id", m.AccountID).
		Int32("partition", record.Partition).Int64("offset", record.Offset).Msg("command produced")
	return nil
}

func (s *Server) log(correlation string) *zerolog.Logger {
	log := s.config.Log.With().Str("correlation_id", correlation).Logger()
	return &log
}

// follow waits for a command's outcome; one that only points at the key's first
// command is followed to that one's.
func (s *Server) follow(ctx context.Context, a attempt, commandID string, told <-chan Outcome) (*settled, string, error) {
	began := time.Now()
	waiting, cancel := context.WithTimeout(ctx, outcomeWait)
	defer cancel()
	found, err := s.await(waiting, a.account, commandID, told, outcomePoll)
	if err != nil {
		return nil, "", err
	}
	if found == nil {
		s.metrics.waited.WithLabelValues("pending").Observe(time.Since(began).Seconds())
		return nil, commandID, nil
	}
	if first := found.pointsAt(); first != "" {
		commandID = first
		told, leave := s.config.Feed.Await(commandID)
		defer leave()
		if found, err = s.await(waiting, a.account, commandID, told, outcomePoll); err != nil || found == nil {
			return nil, commandID, err
		}
	}
	s.metrics.waited.WithLabelValues("decided").Observe(time.Since(began).Seconds())
	return found, "", nil
}

// await waits for the feed to tell an outcome and looks into the read model every so
// often, in case the feed is behind. It returns nil when ctx ends before.
func (s *Server) await(ctx context.Context, account, commandID string, told <-chan Outcome, every time.Duration) (*settled, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case o := <-told:
			return settledOf(o), nil
		case <-ctx.Done():
			return nil, nil
		case <-tick.C:
		}
		found, err := s.recordedOutcome(ctx, account, commandID)
		if err == nil && found != nil {
			return found, nil
		}
		// A database that is away does not end the wait: the feed may tell.
	}
}

// command executes and answers: with what done makes of the outcome, with the
// problem of a rejection, or with 202 and where to ask.
func (s *Server) command(c *fiber.Ctx, a attempt, build func(context.Context, schemas.CommandMetadata) (schemas.Command, error),
	done func(*settled) error,
) error {
	ctx := c.UserContext()
	outcome, pending, err := s.execute(ctx, a, func(m schemas.CommandMetadata) (schemas.Command, error) { return build(ctx, m) })
	switch {
	case err != nil:
		return err
	case outcome == nil:
		c.Set(fiber.HeaderLocation, "/v1/commands/"+pending)
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(retryAfter.Seconds())))
		return c.Status(fiber.StatusAccepted).JSON(CommandOutcome{ID: uuidOf(pending), Status: CommandOutcomeStatusPending})
	}
	c.Set(positionHeader, outcome.last)
	if outcome.rejected != nil {
		s.metrics.rejections.WithLabelValues(outcome.rejected.code).Inc()
		return outcome.rejected.refusal()
	}
	return done(outcome)
}

// noContent answers a command that leaves nothing to show.
func noContent(c *fiber.Ctx) func(*settled) error {
	return func(*settled) error { return c.SendStatus(fiber.StatusNoContent) }
}
