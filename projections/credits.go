package projections

import (
	"context"
	"time"

	"atelier/schemas"
)

// credits: balance, blocks and statement of each account.
var credits = Projection{Name: "credits", DDL: 1, fold: func(*opener) fold {
	return &creditsFold{balances: map[string]int{}, granted: map[[2]string]int{}, blocks: map[[2]string]int{}}
}}

type balanceRow struct {
	AccountID uuidText  `json:"account_id"`
	Available int64     `json:"available"`
	Held      int64     `json:"held"`
	UpdatedAt time.Time `json:"updated_at"`
}

type blockRow struct {
	AccountID uuidText   `json:"account_id"`
	BlockID   uuidText   `json:"block_id"`
	Source    string     `json:"source"`
	Priority  int        `json:"priority"`
	Granted   int64      `json:"granted"`
	Remaining int64      `json:"remaining"`
	ExpiresAt *time.Time `json:"expires_at"`
	GrantedAt time.Time  `json:"granted_at"`
}

type blockChange struct {
	AccountID     uuidText   `json:"account_id"`
	BlockID       uuidText   `json:"block_id"`
	Change        int64      `json:"change"`
	ExpiryChanged bool       `json:"expiry_changed"`
	ExpiresAt     *time.Time `json:"expires_at"`
}

type entryRow struct {
	AccountID       uuidText  `json:"account_id"`
	Seq             int64     `json:"seq"`
	Line            int       `json:"line"`
	EventID         uuidText  `json:"event_id"`
	At              time.Time `json:"at"`
	Kind            string    `json:"kind"`
	Credits         int64     `json:"credits"`
	AvailableChange int64     `json:"available_change"`
	HeldChange      int64     `json:"held_change"`
	AvailableAfter  int64     `json:"available_after"`
	HeldAfter       int64     `json:"held_after"`
	BatchID         uuidText  `json:"batch_id"`
	GenerationID    uuidText  `json:"generation_id"`
	Source          string    `json:"source"`
	Reason          string    `json:"reason"`
}

type creditsChanges struct {
	Entries  []entryRow    `json:"entries,omitempty"`
	Granted  []blockRow    `json:"granted,omitempty"`
	Blocks   []blockChange `json:"blocks,omitempty"`
	Opened   []balanceRow  `json:"opened,omitempty"`
	Balances []balanceRow  `json:"balances,omitempty"`
}

type creditsFold struct {
	out      creditsChanges
	changed  bool
	balances map[string]int    // index in out.Balances, by account
	granted  map[[2]string]int // index in out.Granted, by account and block
	blocks   map[[2]string]int // index in out.Blocks, by account and block
}

func (f *creditsFold) changes() any {
	if !f.changed {
		return nil
	}
	return f.out
}

func (f *creditsFold) add(_ context.Context, e schemas.Event, at Position) error {
	m := e.Meta()
	line := entryRow{AccountID: uuidText(m.AccountID), EventID: uuidText(m.ID), At: m.OccurredAt, Seq: at.Offset}
	switch e := e.(type) {
	case *schemas.AccountOpened:
		f.changed = true
		f.out.Opened = append(f.out.Opened, balanceRow{AccountID: uuidText(m.AccountID), UpdatedAt: m.OccurredAt})
		return nil
	case *schemas.CreditsGranted:
		line.Kind, line.Credits, line.AvailableChange = "granted", e.Credits, e.Credits
		line.AvailableAfter, line.HeldAfter, line.Source, line.Reason = e.AvailableAfter, e.HeldAfter, e.Source, e.Reason
		f.grant(blockRow{AccountID: uuidText(m.AccountID), BlockID: uuidText(e.BlockID), Source: e.Source, Priority: e.Priority,
			Granted: e.Credits, Remaining: e.Credits, ExpiresAt: e.ExpiresAt, GrantedAt: m.OccurredAt})
	case *schemas.CreditsReserved:
		line.Kind, line.AvailableChange, line.HeldChange = "reserved", -e.Credits, e.Credits
		line.AvailableAfter, line.HeldAfter, line.BatchID = e.AvailableAfter, e.HeldAfter, uuidText(e.BatchID)
		for _, l := range e.Lines {
			f.block(m.AccountID, l.BlockID).Change -= l.Credits
		}
	case *schemas.CreditsCaptured:
		// The blocks were reduced when the credits were reserved.
		line.Kind, line.Credits, line.HeldChange = "captured", -e.Credits, -e.Credits
		line.AvailableAfter, line.HeldAfter, line.BatchID, line.GenerationID = e.AvailableAfter, e.HeldAfter, uuidText(e.BatchID), uuidText(e.GenerationID)
	case *schemas.CreditsReleased:
		line.Kind, line.AvailableChange, line.HeldChange = "released", e.Credits, -e.Credits
		line.AvailableAfter, line.HeldAfter, line.BatchID, line.GenerationID = e.AvailableAfter, e.HeldAfter, uuidText(e.BatchID), uuidText(e.GenerationID)
		for _, l := range e.Lines {
			block := f.block(m.AccountID, l.BlockID)
			block.Change += l.Credits
			block.ExpiryChanged, block.ExpiresAt = true, l.ExpiresAt
		}
	case *schemas.CreditsExpired:
		line.Kind, line.Credits, line.AvailableChange = "expired", -e.Credits, -e.Credits
		line.AvailableAfter, line.HeldAfter = e.AvailableAfter, e.HeldAfter
		for _, l := range e.Lines {
			f.block(m.AccountID, l.BlockID).Change -= l.Credits
		}
	default:
		return nil
	}
	f.changed = true
	f.out.Entries = append(f.out.Entries, line)
	*f.balance(m.AccountID) = balanceRow{AccountID: line.AccountID, Available: line.AvailableAfter, Held: line.HeldAfter, UpdatedAt: line.At}
	return nil
}

// grant adds a block, or to a block that was used up and is given again.
func (f *creditsFold) grant(row blockRow) {
	key := [2]string{string(row.AccountID), string(row.BlockID)}
	if i, ok := f.blocks[key]; ok {
		// The changes are applied after the grants: the newest expiry must win.
		f.out.Blocks[i].ExpiryChanged, f.out.Blocks[i].ExpiresAt = true, row.ExpiresAt
	}
	if i, ok := f.granted[key]; ok {
		first := f.out.Granted[i]
		row.Granted, row.Remaining, row.GrantedAt = row.Granted+first.Granted, row.Remaining+first.Remaining, first.GrantedAt
		f.out.Granted[i] = row
		return
	}
	f.granted[key] = len(f.out.Granted)
	f.out.Granted = append(f.out.Granted, row)
}

func (f *creditsFold) balance(account string) *balanceRow {
	i, ok := f.balances[account]
	if !ok {
		i = len(f.out.Balances)
		f.balances[account] = i
		f.out.Balances = append(f.out.Balances, balanceRow{})
	}
	return &f.out.Balances[i]
}

func (f *creditsFold) block(account, block string) *blockChange {
	i, ok := f.blocks[[2]string{account, block}]
	if !ok {
		i = len(f.out.Blocks)
		f.blocks[[2]string{account, block}] = i
		f.out.Blocks = append(f.out.Blocks, blockChange{AccountID: uuidText(account), BlockID: uuidText(block)})
	}
	return &f.out.Blocks[i]
}
