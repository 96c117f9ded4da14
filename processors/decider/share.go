package decider

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"atelier/commands"
	"atelier/internal/kafka"
	"atelier/schemas"
)

// share is what one transaction is about to change in one partition. Partitions
// know nothing of each other, so that shares are decided side by side; within one
// the commands are decided in their order. A share is for one goroutine at a time,
// and speaks to no broker.
type share struct {
	*session
	partition *partition // nil: not ours any more
	records   []*kafka.Record

	accounts map[string]*staged
	outputs  []*kafka.Record // events in their order, then a snapshot an account
	dead     []deadCommand
	codes    map[string]int
	unknown  *kafka.Record // the first command whose schema nobody knows yet
	err      error
}

// deadCommand is a command that becomes a dead letter, and why.
type deadCommand struct {
	record *kafka.Record
	cause  string
}

// staged is an account as this transaction will leave it.
type staged struct {
	account schemas.Account
	changed bool
	encoded []byte
}

func newShare(s *session, p *partition) *share {
	return &share{session: s, partition: p, accounts: map[string]*staged{}, codes: map[string]int{}}
}

// decideAll decides the commands, up to the first whose schema nobody knows.
func (s *share) decideAll(ctx context.Context) {
	if s.partition == nil {
		return
	}
	for _, r := range s.records {
		if s.decide(ctx, r); s.unknown != nil || s.err != nil {
			return
		}
	}
	s.err = s.snapshot()
}

// input is a command record with what it says, or why it cannot be read.
type input struct {
	record     *kafka.Record
	command    schemas.Command
	unreadable string
}

func (s *share) decide(ctx context.Context, r *kafka.Record) {
	if foreign := s.foreign(r); foreign != "" {
		s.dead = append(s.dead, deadCommand{r, foreign})
		return
	}
	record, err := s.config.Codec.Decode(ctx, schemas.TopicCommands, r.Value)
	if errors.Is(err, schemas.ErrRegistryAway) || errors.Is(err, schemas.ErrUnknownSchema) && !s.pastWaiting(r) {
		s.unknown = r
		return
	}
	in := input{record: r}
	in.command, in.unreadable = commandOf(r, record, err)
	account, err := s.account(ctx, r)
	if err != nil {
		s.err = err
		return
	}
	decision := s.decisionOf(in, account)
	if len(decision.Events) == 0 {
		return // a redelivery
	}
	if cause := deadCause(in, decision); cause != "" {
		s.dead = append(s.dead, deadCommand{r, cause})
	}
	account.account, account.changed = decision.Account, true
	s.err = s.write(r, decision.Events)
}

func (s *share) decisionOf(in input, account *staged) commands.Decision {
	r := in.record
	at := schemas.CommandPosition{Generation: s.config.TopicGeneration, Partition: int(r.Partition), Offset: r.Offset}
	if in.command == nil {
		return commands.HandleUnreadable(account.account, string(r.Key), commandID(r), in.unreadable, at, s.config.Now())
	}
	return commands.Handle(account.account, in.command, at, s.config.Now())
}

// foreign says why a record has no place here at all, so that nobody can be
// answered. Every writer of ours keys by account ID and partitions by murmur2; an
// account whose commands stand in two partitions would have two deciders.
func (s *session) foreign(r *kafka.Record) string {
	key := string(r.Key)
	if _, err := uuid.Parse(key); err != nil || len(key) != 36 {
		return "the key is no account ID"
	}
	if want := kafka.PartitionOf(key, s.partitions); want != r.Partition {
		return fmt.Sprintf("the key belongs to partition %d", want)
	}
	return ""
}

func commandOf(r *kafka.Record, record schemas.Record, err error) (schemas.Command, string) {
	if err != nil {
		return nil, err.Error()
	}
	command, ok := record.(schemas.Command)
	switch {
	case !ok:
		return nil, "is a " + record.SchemaName() + ", not a command"
	case command.Meta().AccountID != string(r.Key):
		return nil, "the key is not the command's account"
	}
	return command, ""
}

// deadCause says why a command also becomes a dead letter, empty if it does not.
func deadCause(in input, decision commands.Decision) string {
	if decision.Panic != "" {
		return "panic: " + decision.Panic
	}
	return in.unreadable
}

// commandID finds the ID of a command that cannot be read in its headers; where
// even that is missing, it follows from the position, so that it stays the same.
func commandID(r *kafka.Record) string {
	if id := kafka.HeaderValue(r, schemas.HeaderID); len(id) == 36 && uuid.Validate(id) == nil {
		return id
	}
	return schemas.DeriveID(string(r.Key), fmt.Sprintf("unreadable/%d/%d", r.Partition, r.Offset))
}

// account returns the account as this transaction has it so far.
func (s *share) account(ctx context.Context, r *kafka.Record) (*staged, error) {
	if a := s.accounts[string(r.Key)]; a != nil {
		return a, nil
	}
	id, a := string(r.Key), &staged{}
	if encoded := s.partition.encoded(id); encoded != nil {
		record, err := s.config.Codec.Decode(ctx, schemas.TopicAccounts, encoded)
		if err != nil {
			return nil, fmt.Errorf("decode account: %w", err)
		}
		a.account = *record.(*schemas.Account)
	}
	s.accounts[id] = a
	return a, nil
}

func (s *share) write(r *kafka.Record, events []schemas.Event) error {
	first := events[0].Meta()
	code := outcomeCode(events[0])
	s.config.Log.Debug().Str("topic", r.Topic).Int32("partition", r.Partition).Int64("offset", r.Offset).
		Str("account_id", first.AccountID).Str("command_id", first.CausationID).Str("correlation_id", first.CorrelationID).
		Str("code", code).Int("events", len(events)).Msg("command decided")
	for _, event := range events {
		record, err := kafka.NewRecord(s.config.Codec, schemas.TopicEvents, event)
		if err != nil {
			return err
		}
		record.Partition = r.Partition
		s.outputs = append(s.outputs, record)
	}
	s.codes[code]++
	return nil
}

func outcomeCode(event schemas.Event) string {
	if rejected, ok := event.(*schemas.CommandRejected); ok {
		return rejected.Code
	}
	return "ok"
}

// snapshot writes each changed account once, as the transaction leaves it.
func (s *share) snapshot() error {
	for _, a := range s.accounts {
		if !a.changed {
			continue
		}
		record, err := kafka.NewRecord(s.config.Codec, schemas.TopicAccounts, &a.account)
		if err != nil {
			return err
		}
		a.encoded = record.Value
		record.Partition = s.partition.id
		s.outputs = append(s.outputs, record)
	}
	return nil
}

// publish makes what has committed the state that the next batch sees.
func (s *share) publish() {
	for _, a := range s.accounts {
		if a.changed {
			s.partition.set(&a.account, a.encoded)
		}
	}
}
