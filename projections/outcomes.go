package projections

import (
	"context"
	"strings"
	"time"

	"atelier/schemas"
)

// outcomes: what became of each command, for 30 days by the log's time.
var outcomes = Projection{Name: "outcomes", DDL: 1, fold: func(*opener) fold {
	return &outcomesFold{rows: map[[2]string]int{}}
}}

type outcomeEvent struct {
	Type     string `json:"type"`
	ID       string `json:"id"`
	Position string `json:"position"`
}

type outcomeRow struct {
	AccountID         uuidText         `json:"account_id"`
	CommandID         uuidText         `json:"command_id"`
	Partition         int32            `json:"partition"`
	CommandGeneration int              `json:"command_generation"`
	CommandOffset     int64            `json:"command_offset"`
	Command           string           `json:"command"`
	Status            string           `json:"status"`
	Code              string           `json:"code"`
	Detail            string           `json:"detail"`
	Figures           map[string]int64 `json:"figures"`
	FirstCommandID    uuidText         `json:"first_command_id"`
	IdempotencyKey    string           `json:"idempotency_key"`
	RequestHash       hexBytes         `json:"request_hash"`
	BatchID           uuidText         `json:"batch_id"`
	ResourceID        uuidText         `json:"resource_id"`
	Events            []outcomeEvent   `json:"events"`
	Total             int              `json:"total"`
	LastPosition      string           `json:"last_position"`
	At                time.Time        `json:"at"`
}

type outcomesChanges struct {
	Outcomes []outcomeRow `json:"outcomes"`
}

type outcomesFold struct {
	out  outcomesChanges
	rows map[[2]string]int // index in out.Outcomes, by account and command
}

func (f *outcomesFold) changes() any {
	if len(f.out.Outcomes) == 0 {
		return nil
	}
	return f.out
}

// add puts an event to its command. A command that was sent twice is decided
// twice, at two positions: the first outcome stays, as the stored procedure
// keeps it, too.
func (f *outcomesFold) add(_ context.Context, e schemas.Event, at Position) error {
	m := e.Meta()
	key := [2]string{m.AccountID, m.CausationID}
	i, ok := f.rows[key]
	if !ok {
		i = len(f.out.Outcomes)
		f.rows[key] = i
		f.out.Outcomes = append(f.out.Outcomes, newOutcome(e, at))
	}
	row := &f.out.Outcomes[i]
	if row.CommandGeneration != m.CommandPosition.Generation || row.CommandOffset != m.CommandPosition.Offset {
		return nil
	}
	row.Events = append(row.Events, outcomeEvent{Type: schemas.ShortName(e), ID: m.ID, Position: at.String()})
	row.LastPosition = at.String()
	batch, resource := subjects(e)
	if row.BatchID == "" {
		row.BatchID = uuidText(batch)
	}
	if row.ResourceID == "" {
		row.ResourceID = uuidText(resource)
	}
	return nil
}

func newOutcome(e schemas.Event, at Position) outcomeRow {
	m := e.Meta()
	row := outcomeRow{AccountID: uuidText(m.AccountID), CommandID: uuidText(m.CausationID), Partition: at.Partition,
		CommandGeneration: m.CommandPosition.Generation, CommandOffset: m.CommandPosition.Offset, Command: commandOf(e), Status: "done", Total: m.Count,
		Figures: map[string]int64{}, IdempotencyKey: m.IdempotencyKey, RequestHash: m.RequestHash, At: m.OccurredAt}
	if r, ok := e.(*schemas.CommandRejected); ok {
		row.Status, row.Code, row.Detail, row.FirstCommandID = "rejected", r.Code, r.Detail, uuidText(r.FirstCommandID)
		if r.Figures != nil {
			row.Figures = r.Figures
		}
	}
	return row
}

// commandOf returns the short name of the command whose first event e is.
func commandOf(e schemas.Event) string {
	switch e := e.(type) {
	case *schemas.CommandRejected:
		return e.Command[strings.LastIndexByte(e.Command, '.')+1:]
	case *schemas.AccountOpened:
		return "OpenAccount"
	case *schemas.CreditsGranted:
		if e.Source == "welcome" {
			return "ClaimWelcome"
		}
		return "GrantCredits"
	case *schemas.CreditsExpired:
		return "ExpireCredits"
	case *schemas.BrandSaved:
		return "SaveBrand"
	case *schemas.BrandArchived:
		return "ArchiveBrand"
	case *schemas.BrandRestored:
		return "RestoreBrand"
	case *schemas.AssetAdded:
		return "AddAsset"
	case *schemas.AssetRemoved:
		return "RemoveAsset"
	case *schemas.CreditsReserved, *schemas.BatchRequested, *schemas.GenerationRequested:
		return "RequestGeneration"
	case *schemas.GenerationSucceeded, *schemas.CreditsCaptured:
		return "CompleteGeneration"
	case *schemas.GenerationCanceled:
		return "CancelGeneration"
	case *schemas.GenerationFailed:
		if e.Actor.Via == viaSweep {
			return "ExpireGeneration"
		}
		return "FailGeneration"
	case *schemas.SpendRecorded:
		return "RecordSpend"
	case *schemas.ImageRated:
		return "RateImage"
	case *schemas.ImageComposed:
		return "ComposeImage"
	case *schemas.ImagesExported:
		return "RecordExport"
	case *schemas.ImageDeleted:
		return "DeleteImage"
	case *schemas.ImageRestored:
		return "RestoreImage"
	default:
		// CreditsReleased is never a command's first event.
		return ""
	}
}

// viaSweep is how the decider's sweep signs its commands (Actor.Via).
const viaSweep = "sweep"

// subjects returns the batch that an event belongs to and what it made or changed.
func subjects(e schemas.Event) (batch, resource string) {
	switch e := e.(type) {
	case *schemas.CreditsGranted:
		return "", e.BlockID
	case *schemas.BrandSaved:
		return "", e.BrandID
	case *schemas.BrandArchived:
		return "", e.BrandID
	case *schemas.BrandRestored:
		return "", e.BrandID
	case *schemas.AssetAdded:
		return "", e.AssetID
	case *schemas.AssetRemoved:
		return "", e.AssetID
	case *schemas.CreditsReserved:
		return e.BatchID, e.BatchID
	case *schemas.BatchRequested:
		return e.BatchID, e.BatchID
	case *schemas.GenerationSucceeded:
		return e.BatchID, e.GenerationID
	case *schemas.GenerationFailed:
		return e.BatchID, e.GenerationID
	case *schemas.GenerationCanceled:
		return e.BatchID, e.GenerationID
	case *schemas.SpendRecorded:
		return e.BatchID, e.GenerationID
	case *schemas.ImageRated:
		return e.BatchID, e.GenerationID
	case *schemas.ImageComposed:
		return e.BatchID, e.GenerationID
	case *schemas.ImageDeleted:
		return e.BatchID, e.GenerationID
	case *schemas.ImageRestored:
		return e.BatchID, e.GenerationID
	default:
		return "", ""
	}
}
