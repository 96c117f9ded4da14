package decider

import (
	"bytes"
	"context"
	"fmt"

	"atelier/commands"
	"atelier/internal/kafka"
	"atelier/schemas"
)

const (
	// differentMax bounds the accounts that a report names (count).
	differentMax = 100
)

// AccountsReport is what a verification of the snapshots found.
type AccountsReport struct {
	Accounts int64 `json:"accounts"` // snapshots compared
	Events   int64 `json:"events"`   // folded
	Differ   int64 `json:"differ"`   // accounts whose snapshot is not the fold
	// Different names the first of them, 100 at most.
	Different []string `json:"different"`
}

// Equal says whether every snapshot is the fold of its events.
func (r AccountsReport) Equal() bool { return r.Differ == 0 }

// VerifyAccounts folds atelier.events and compares each account with its newest
// snapshot, byte by byte. Deciders may be at work meanwhile: an account is folded
// up to the command that its snapshot knows. It holds all accounts in memory,
// encoded and folded. progress hears of the records read and to be read.
func VerifyAccounts(ctx context.Context, c Config, progress func(done, total int64)) (AccountsReport, error) {
	admin, err := kafka.NewAdmin(c.Kafka)
	if err != nil {
		return AccountsReport{}, err
	}
	defer admin.Close()
	v := verification{codec: c.Codec, snapshots: map[string]snapshot{}, folds: map[string]schemas.Account{}, missing: map[string]bool{}}
	// What is settled before this moment has a snapshot that is read next, and the
	// events of every snapshot stand before the ends that are asked for after it. (Not
	// the high watermark: the snapshots of an open transaction may be still to come.)
	if v.before, err = admin.StableOffsets(ctx, schemas.TopicEvents); err != nil {
		return AccountsReport{}, err
	}
	if err := v.read(ctx, c.Kafka, admin, schemas.TopicAccounts, v.snapshot, nil); err != nil {
		return AccountsReport{}, err
	}
	if err := v.read(ctx, c.Kafka, admin, schemas.TopicEvents, v.event, progress); err != nil {
		return AccountsReport{}, err
	}
	return v.report()
}

// snapshot is the newest one of an account: its bytes, and the command it knows.
type snapshot struct {
	encoded    []byte
	generation int
	next       int64
}

type verification struct {
	codec     *schemas.Codec
	before    map[int32]int64 // ends of atelier.events before the snapshots were read
	snapshots map[string]snapshot
	folds     map[string]schemas.Account
	missing   map[string]bool // accounts with events and without a snapshot
	events    int64
}

// read hands every record of a topic over, up to the high watermark of now.
func (v *verification) read(ctx context.Context, k kafka.Config, admin *kafka.Admin, topic string,
	take func(*kafka.Record, schemas.Record) error, progress func(done, total int64),
) error {
	return kafka.Scan(ctx, k, admin, topic, func(r *kafka.Record) error {
		record, err := v.codec.Decode(ctx, topic, r.Value)
		if err != nil {
			return fmt.Errorf("%s[%d]@%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		return take(r, record)
	}, progress)
}

func (v *verification) snapshot(r *kafka.Record, record schemas.Record) error {
	account := record.(*schemas.Account)
	v.snapshots[account.AccountID] = snapshot{
		encoded: r.Value, generation: account.CommandGeneration, next: account.NextCommandOffset,
	}
	return nil
}

func (v *verification) event(r *kafka.Record, record schemas.Record) error {
	event := record.(schemas.Event)
	m := event.Meta()
	s, ok := v.snapshots[m.AccountID]
	at := m.CommandPosition
	if !ok || at.Generation > s.generation || at.Generation == s.generation && at.Offset >= s.next {
		if r.Offset < v.before[r.Partition] { // else decided since the snapshots were read
			v.missing[m.AccountID] = true
		}
		return nil
	}
	v.folds[m.AccountID] = commands.Evolve(v.folds[m.AccountID], event)
	v.events++
	return nil
}

func (v *verification) report() (AccountsReport, error) {
	report := AccountsReport{Accounts: int64(len(v.snapshots)), Events: v.events}
	differs := func(account string) {
		report.Differ++
		if len(report.Different) < differentMax {
			report.Different = append(report.Different, account)
		}
	}
	for id, s := range v.snapshots {
		if v.missing[id] {
			continue
		}
		folded := v.folds[id]
		encoded, err := v.codec.Encode(&folded)
		if err != nil {
			return report, fmt.Errorf("encode the fold of account %s: %w", id, err)
		}
		if !bytes.Equal(encoded, s.encoded) {
			differs(id)
		}
	}
	for id := range v.missing {
		differs(id)
	}
	return report, nil
}
