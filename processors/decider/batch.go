package decider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"atelier/commands"
	"atelier/internal/kafka"
	"atelier/schemas"
)

// input is a command record with what it says, or why it cannot be read.
type input struct {
	record     *kafka.Record
	partition  *partition
	command    schemas.Command
	unreadable string
	// foreign: the record stands in the wrong partition, or its key is no
	// account; then nobody can be answered.
	foreign bool
}

// decideBatch decides records in one transaction. An error ends the session.
func (s *session) decideBatch(ctx context.Context, records []*kafka.Record) error {
	began := time.Now()
	inputs, unknown := s.read(ctx, records)
	if err := s.kafka.Begin(); err != nil {
		return err
	}
	if unknown != nil {
		s.awaitSchema(unknown)
		_, err := s.kafka.End(ctx, false) // rewinds; the other partitions' come again at once
		return err
	}
	b := batch{session: s, accounts: map[string]*staged{}, codes: map[string]int{}}
	for _, in := range inputs {
		if err := b.decide(ctx, in); err != nil {
			return errors.Join(err, b.abort(ctx))
		}
	}
	if err := b.snapshot(ctx); err != nil {
		return errors.Join(err, b.abort(ctx))
	}
	committed, err := s.kafka.End(ctx, !b.stale)
	if err != nil {
		return err
	}
	switch {
	case committed:
		b.publish()
		b.buried()
	case !b.stale:
		s.restoreAgain(inputs)
	}
	s.metrics.transaction(len(records), time.Since(began), committed, b.codes)
	return nil
}

// read decodes the records, and stops at the first whose schema nobody knows.
func (s *session) read(ctx context.Context, records []*kafka.Record) ([]input, *kafka.Record) {
	inputs := make([]input, 0, len(records))
	for _, r := range records {
		in := input{record: r, partition: s.owned.get(r.Partition)}
		if in.foreign, in.unreadable = s.foreign(r); !in.foreign {
			record, err := s.config.Codec.Decode(ctx, schemas.TopicCommands, r.Value)
			if errors.Is(err, schemas.ErrRegistryAway) || errors.Is(err, schemas.ErrUnknownSchema) && !s.pastWaiting(r) {
				return nil, r
			}
			in.command, in.unreadable = commandOf(r, record, err)
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

// foreign says whether a record has no place here at all. Every writer of ours
// keys by account ID and partitions by murmur2; an account whose commands stand
// in two partitions would have two deciders.
func (s *session) foreign(r *kafka.Record) (bool, string) {
	key := string(r.Key)
	if _, err := uuid.Parse(key); err != nil || len(key) != 36 {
		return true, "the key is no account ID"
	}
	if want := kafka.PartitionOf(key, s.partitions); want != r.Partition {
		return true, fmt.Sprintf("the key belongs to partition %d", want)
	}
	return false, ""
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

// batch is what one transaction is about to change.
type batch struct {
	*session
	accounts map[string]*staged
	codes    map[string]int // outcomes by code, "ok" for those that were done
	dead     []dead
	// stale: a record of a partition that is no longer ours came along. The
	// group has moved on, and the transaction must not commit.
	stale bool
}

// dead is a command that this transaction makes a dead letter, and why.
type dead struct {
	record *kafka.Record
	cause  string
}

// staged is an account as this transaction will leave it.
type staged struct {
	partition *partition
	account   schemas.Account
	changed   bool
	encoded   []byte
}

func (b *batch) abort(ctx context.Context) error {
	_, err := b.kafka.End(ctx, false)
	return err
}

func (b *batch) decide(ctx context.Context, in input) error {
	switch {
	case in.partition == nil:
		b.stale = true
		return nil
	case in.foreign:
		b.deadLetter(ctx, in.record, in.unreadable)
		return nil
	}
	account, err := b.account(ctx, in)
	if err != nil {
		return err
	}
	at := schemas.CommandPosition{Generation: b.config.TopicGeneration, Partition: int(in.record.Partition), Offset: in.record.Offset}
	var decision commands.Decision
	if in.command == nil {
		decision = commands.HandleUnreadable(account.account, string(in.record.Key), commandID(in.record), in.unreadable, at, b.config.Now())
	} else {
		decision = commands.Handle(account.account, in.command, at, b.config.Now())
	}
	if len(decision.Events) == 0 {
		return nil // a redelivery
	}
	if cause := deadCause(in, decision); cause != "" {
		b.deadLetter(ctx, in.record, cause)
	}
	account.account, account.changed = decision.Account, true
	first := decision.Events[0].Meta()
	b.config.Log.Debug().Str("topic", in.record.Topic).Int32("partition", in.record.Partition).Int64("offset", in.record.Offset).
		Str("account_id", first.AccountID).Str("command_id", first.CausationID).Str("correlation_id", first.CorrelationID).
		Str("code", outcomeCode(decision.Events[0])).Int("events", len(decision.Events)).Msg("command decided")
	return b.write(ctx, in.record.Partition, decision.Events)
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
func (b *batch) account(ctx context.Context, in input) (*staged, error) {
	id := string(in.record.Key)
	if a := b.accounts[id]; a != nil {
		return a, nil
	}
	a := &staged{partition: in.partition}
	if encoded := in.partition.encoded(id); encoded != nil {
		record, err := b.config.Codec.Decode(ctx, schemas.TopicAccounts, encoded)
		if err != nil {
			return nil, fmt.Errorf("decode account: %w", err)
		}
		a.account = *record.(*schemas.Account)
	}
	b.accounts[id] = a
	return a, nil
}

func (b *batch) write(ctx context.Context, partition int32, events []schemas.Event) error {
	for _, event := range events {
		record, err := kafka.NewRecord(b.config.Codec, schemas.TopicEvents, event)
		if err != nil {
			return err
		}
		record.Partition = partition
		b.kafka.Produce(ctx, record)
	}
	b.codes[outcomeCode(events[0])]++
	return nil
}

func outcomeCode(event schemas.Event) string {
	if rejected, ok := event.(*schemas.CommandRejected); ok {
		return rejected.Code
	}
	return "ok"
}

// snapshot writes each changed account once, as the transaction leaves it.
func (b *batch) snapshot(ctx context.Context) error {
	for _, a := range b.accounts {
		if !a.changed {
			continue
		}
		record, err := kafka.NewRecord(b.config.Codec, schemas.TopicAccounts, &a.account)
		if err != nil {
			return err
		}
		a.encoded = record.Value
		record.Partition = a.partition.id
		b.kafka.Produce(ctx, record)
	}
	return nil
}

// publish makes what has committed the state that the next batch sees.
func (b *batch) publish() {
	for _, a := range b.accounts {
		if a.changed {
			a.partition.set(&a.account, a.encoded)
		}
	}
}

func (b *batch) deadLetter(ctx context.Context, r *kafka.Record, cause string) {
	b.dead = append(b.dead, dead{record: r, cause: cause})
	b.kafka.Produce(ctx, kafka.DeadLetter(r, cause))
}

// buried says which commands have become dead letters: not before the transaction
// has committed, or one that came again would be told of twice.
func (b *batch) buried() {
	for _, d := range b.dead {
		b.config.Log.Error().Str("topic", d.record.Topic).Int32("partition", d.record.Partition).Int64("offset", d.record.Offset).
			Str("cause", d.cause).Msg("command became a dead letter: `atelier deadletters` shows it")
	}
	b.metrics.deadLetters.Add(float64(len(b.dead)))
}
