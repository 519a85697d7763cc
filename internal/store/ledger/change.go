package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/apply"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/logins"
	"rollcall.dev/rollcall/internal/store/passwords"
)

// Edit is how a local account is to change; what is nil or not named stays.
type Edit struct {
	Text       map[account.Field]string // "" takes a value away
	Attributes map[string]*string       // nil takes one away
	Manager    *account.ID              // the zero ID takes it away
	Status     *account.Status
	Hash       *string // argon2id
	Why        string
}

// ChangeLocal changes a local account of an organization ("" for any), by the same
// rules by which it was made, and gives it as it is then. One that a connection
// keeps is a fault.Conflict: its directory says how it is.
func (l *Ledger) ChangeLocal(ctx context.Context, organization string, id account.ID, e Edit, actor string) (*account.Account, error) {
	var is *account.Account
	err := l.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		have, err := l.Accounts.ByID(ctx, tx, []account.ID{id})
		if err != nil {
			return err
		}
		was := have[id]
		if was == nil || organization != "" && was.Organization != organization {
			return fault.New(fault.NotFound, "there is no account %s", id).WithHint("`rollcall accounts list` shows them")
		}
		if was.Connection != account.Local {
			return fault.New(fault.Conflict, "account %s (%s) is kept by connection %s", was.Text[account.Username], id, was.Connection).
				WithHint("change it in the directory; what is changed here would be undone by the next run")
		}
		now := time.Now().UTC()
		if is, err = e.apply(was, now); err != nil {
			return err
		}
		if err := l.possible(ctx, tx, was, is); err != nil {
			return err
		}
		w := writer{Ledger: l, ctx: ctx, tx: tx, b: apply.Batch{Organization: was.Organization, Actor: actor}, now: now, tally: tally{}, was: have}
		if w.indexed, err = accounts.Indexed(ctx, tx, was.Organization); err != nil {
			return err
		}
		if fields := plan.Diff(was, is); fields != 0 {
			action, err := actionOf(was, is)
			if err != nil {
				return err
			}
			c := plan.Change{Action: action, Target: plan.Account, Account: id, Version: was.Version, Fields: fields, Before: fields.Only(was), After: fields.Only(is), Why: e.Why}
			if err := w.modify(&c); err != nil {
				return err
			}
		}
		if err := w.password(id, e.Hash); err != nil {
			return err
		}
		if err := logins.EndAll(ctx, tx, now, w.gone...); err != nil {
			return err
		}
		if err := w.tally.write(ctx, tx, was.Organization, now); err != nil {
			return err
		}
		if err := events.Append(ctx, tx, w.events); err != nil {
			return err
		}
		have, err = l.Accounts.ByID(ctx, tx, []account.ID{id})
		is = have[id]
		return err
	})
	if err != nil {
		return nil, err
	}
	return is, l.Accounts.WithGroups(ctx, []*account.Account{is})
}

// password gives an account another password. The event tells of it, not of what
// it is.
func (w *writer) password(id account.ID, hash *string) error {
	if hash == nil {
		return nil
	}
	if _, err := w.tx.Exec(w.ctx, `INSERT INTO credentials (account, hash, given, updated_at) VALUES ($1, $2, $2, $3)
		ON CONFLICT (account) DO UPDATE SET hash = excluded.hash, given = excluded.given, updated_at = excluded.updated_at`, id[:], *hash, db.Micros(w.now)); err != nil {
		return err
	}
	if err := passwords.Void(w.ctx, w.tx, w.now, id); err != nil {
		return err
	}
	w.events = append(w.events, event.Event{Type: event.AccountUpdated, Organization: w.b.Organization, Account: &id, At: w.now, Actor: w.b.Actor,
		Before: json.RawMessage("{}"), After: json.RawMessage("{}"), Why: "its password was changed"})
	return nil
}

func (e *Edit) apply(was *account.Account, now time.Time) (*account.Account, error) {
	is := *was
	row := map[string]string{}
	for f, name := range account.FieldNames() {
		row[name] = was.Text[f]
		if v, ok := e.Text[account.Field(f)]; ok {
			row[name] = v
		}
	}
	for name, v := range e.Attributes {
		if v != nil {
			row[AttributePrefix+name] = *v
		}
	}
	text, attributes, err := Fields(row, now)
	if err != nil {
		return nil, err
	}
	is.Text = text
	if is.Attributes, err = merged(was.Attributes, attributes, e.Attributes); err != nil {
		return nil, err
	}
	if e.Manager != nil {
		is.Manager = *e.Manager
	}
	if e.Status != nil && *e.Status != is.Status {
		is.Status, is.Cause = *e.Status, account.ByOperator
		if is.Status == account.Active {
			is.Cause = account.NoCause
		}
	}
	return &is, nil
}

// merged puts checked attributes over those there were.
func merged(was, checked string, edited map[string]*string) (string, error) {
	all := map[string]json.RawMessage{}
	for _, text := range []string{was, checked} {
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return "", err
		}
	}
	for name, v := range edited {
		if v == nil || *v == "" {
			delete(all, name)
		}
	}
	if len(all) == 0 {
		return "", nil
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(all)
	return string(bytes.TrimSpace(out.Bytes())), err
}

// possible refuses a name that is taken, a seat there is not, and a manager who
// is none.
func (l *Ledger) possible(ctx context.Context, tx *db.Tx, was, is *account.Account) error {
	if is.Status != account.Deleted {
		if err := namesFree(ctx, tx, is.Organization, []Local{{Account: *is}}); err != nil {
			return err
		}
	}
	if is.Status == account.Active && was.Status != account.Active {
		if err := seats(ctx, tx, is.Organization, 1); err != nil {
			return err
		}
	}
	if is.Manager.IsZero() || is.Manager == was.Manager {
		return nil
	}
	have, err := l.Accounts.ByID(ctx, tx, []account.ID{is.Manager})
	if err != nil {
		return err
	}
	if m := have[is.Manager]; m == nil || m.Organization != is.Organization || m.Status == account.Deleted || m.ID == is.ID {
		return fault.New(fault.Invalid, "account %s cannot be the manager", is.Manager).WithHint("it is the ID of another account of the same organization")
	}
	return nil
}

// actionOf names a change: what happens to the status says most.
func actionOf(was, is *account.Account) (plan.Action, error) {
	if was.Status == is.Status {
		if was.Status == account.Deleted {
			return "", fault.New(fault.Conflict, "account %s (%s) is deleted", was.Text[account.Username], was.ID).WithHint("set its status to active first, or with the same request")
		}
		return plan.Update, nil
	}
	switch {
	case is.Status == account.Deleted:
		return plan.Delete, nil
	case was.Status == account.Deleted:
		return plan.Restore, nil
	case is.Status == account.Disabled:
		return plan.Disable, nil
	}
	return plan.Enable, nil
}
