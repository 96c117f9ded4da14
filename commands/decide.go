package commands

import (
	"fmt"
	"time"

	"atelier/schemas"
)

// Decide returns what command leads to at now, in order and with empty metadata,
// or a *Rejection that wraps the rule it breaks (compare with errors.Is). It
// changes nothing; see Evolve.
func Decide(account schemas.Account, command schemas.Command, now time.Time) ([]schemas.Event, error) {
	d, err := decide(account, command, now)
	if err != nil {
		return nil, err
	}
	return d.events, nil
}

// deciding is a decision in the making: the account as the events so far leave
// it, so that each event can say what is true after it.
type deciding struct {
	fold
	now    time.Time
	events []schemas.Event
}

func (d *deciding) emit(event schemas.Event) {
	d.happened(event, d.now)
	d.events = append(d.events, event)
}

func decide(account schemas.Account, command schemas.Command, now time.Time) (*deciding, error) {
	d := &deciding{fold: fold{Account: account}, now: now, events: make([]schemas.Event, 0, 2)}
	var err error
	switch c := command.(type) {
	case *schemas.OpenAccount:
		err = d.openAccount(c)
	case *schemas.ClaimWelcome:
		err = d.claimWelcome(c)
	case *schemas.GrantCredits:
		err = d.grantCredits(c)
	case *schemas.ExpireCredits:
		err = d.expireCredits(c)
	case *schemas.SaveBrand:
		err = d.saveBrand(c)
	case *schemas.ArchiveBrand:
		err = d.archiveBrand(c)
	case *schemas.RestoreBrand:
		err = d.restoreBrand(c)
	case *schemas.AddAsset:
		err = d.addAsset(c)
	case *schemas.RemoveAsset:
		err = d.removeAsset(c)
	case *schemas.RequestGeneration:
		err = d.requestGeneration(c)
	case *schemas.CancelGeneration:
		err = d.cancelGeneration(c)
	case *schemas.CompleteGeneration:
		err = d.completeGeneration(c)
	case *schemas.FailGeneration:
		err = d.failGeneration(c)
	case *schemas.ExpireGeneration:
		err = d.expireGeneration(c)
	case *schemas.RecordSpend:
		err = d.recordSpend(c)
	case *schemas.RateImage:
		err = d.rateImage(c)
	case *schemas.ComposeImage:
		err = d.composeImage(c)
	case *schemas.RecordExport:
		err = d.recordExport(c)
	case *schemas.DeleteImage:
		err = d.deleteImage(c)
	case *schemas.RestoreImage:
		err = d.restoreImage(c)
	default:
		panic(fmt.Sprintf("commands: unknown command %T", c))
	}
	return d, err
}

func (d *deciding) openAccount(c *schemas.OpenAccount) error {
	var b bounds
	b.sealed("email", c.Email, emailBytesMax)
	if err := b.err(); err != nil {
		return err
	}
	if d.Opened {
		return reject(ErrDuplicate, "the account is open")
	}
	d.emit(&schemas.AccountOpened{Email: c.Email, EmailConfirmed: c.EmailConfirmed})
	return nil
}
