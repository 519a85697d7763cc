// Package ledger writes changes: a batch of a plan, its events, its credentials
// and the plan's progress in one transaction, so that a crash at any moment
// leaves a plan that can be carried on from where it stood. It is the only
// writer of accounts during a run.
package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/apply"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/leases"
	"rollcall.dev/rollcall/internal/store/logins"
	"rollcall.dev/rollcall/internal/store/passwords"
	"rollcall.dev/rollcall/internal/store/plans"
)

// Ledger writes changes.
type Ledger struct {
	DB       *db.DB
	Accounts *accounts.Accounts
}

// Commit implements apply.Ledger.
func (l *Ledger) Commit(ctx context.Context, b apply.Batch) ([]apply.Outcome, error) {
	var outcomes []apply.Outcome
	l.first(ctx, b)
	err := l.DB.Write(ctx, func(tx *db.Tx) error {
		if err := leases.Hold(ctx, tx, b.Lease); err != nil {
			return err
		}
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE plans SET applied = $2 + 1 WHERE id = $1 AND applied = $2 AND state = 'applying'`, b.Plan, b.Seq)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "plan %s: chunk %d is not the next to be written", b.Plan, b.Seq)
		}
		w := writer{Ledger: l, ctx: ctx, tx: tx, b: b, now: time.Now().UTC(), tally: tally{}}
		if err := w.run(); err != nil {
			return err
		}
		outcomes = w.outcomes
		return nil
	})
	if err == nil && b.Seq&(b.Seq-1) == 0 && b.Seq&0x11111111 != 0 {
		// A table that grew a hundredfold since its statistics were taken is
		// searched the wrong way: after chunk 1, 16, 256, ... they are taken anew.
		l.DB.AnalyzeBeside("accounts (id, organization, connection, key, username_key, email_key, manager, status, cause, deleted_at)", "memberships", "account_values")
	}
	return outcomes, err
}

type writer struct {
	*Ledger
	ctx      context.Context
	tx       *db.Tx
	b        apply.Batch
	now      time.Time
	was      map[account.ID]*account.Account
	events   []event.Event
	outcomes []apply.Outcome
	gone     []account.ID // nobody signs in to them any more
	tally    tally
	indexed  []string // attributes whose values are kept for matching
	fresh    fresh
	gaps     *bool // rows of the plan were taken out, or failed in an earlier chunk; nil while not asked
}

func (w *writer) run() error {
	var err error
	if w.was, err = w.before(); err != nil {
		return err
	}
	if w.indexed, err = accounts.Indexed(w.ctx, w.tx, w.b.Organization); err != nil {
		return err
	}
	taken, err := w.taken()
	if err != nil {
		return err
	}
	for i := range w.b.Changes {
		c := &w.b.Changes[i]
		if c.Target != plan.Account {
			// No event may tell of the member before it told of the account.
			if err := w.insertAccounts(); err != nil {
				return err
			}
		}
		switch c.Target {
		case plan.Account:
			reason := w.refuse(c, taken)
			if reason == "" {
				if reason, err = w.givenAway(c); err != nil {
					return err
				}
			}
			if reason != "" {
				w.fail(c, reason)
				continue
			}
			if c.Action == plan.Create {
				w.fresh.accounts = append(w.fresh.accounts, c)
				continue
			}
			if err := w.modify(c); err != nil {
				return err
			}
		case plan.Group:
			if err := w.group(c); err != nil {
				return err
			}
		case plan.Membership:
			if err := w.membership(c); err != nil {
				return err
			}
		}
	}
	for _, insert := range []func() error{w.insertAccounts, w.insertGroups, w.insertMembers} {
		if err := insert(); err != nil {
			return err
		}
	}
	if err := w.secrets(); err != nil {
		return err
	}
	if err := logins.EndAll(w.ctx, w.tx, w.now, w.gone...); err != nil {
		return err
	}
	if err := w.failures(); err != nil {
		return err
	}
	if err := w.tally.write(w.ctx, w.tx, w.b.Organization, w.now); err != nil {
		return err
	}
	return events.Append(w.ctx, w.tx, w.events)
}

// before gives the accounts of a batch as they are. Of those to be created there is
// none; they mostly lie side by side, with nobody in between, and then one question
// says so.
func (w *writer) before() (map[account.ID]*account.Account, error) {
	var ids, fresh []account.ID
	for i := range w.b.Changes {
		switch c := &w.b.Changes[i]; {
		case c.Target != plan.Account:
		case c.Action == plan.Create:
			fresh = append(fresh, c.Account)
		default:
			ids = append(ids, c.Account)
		}
	}
	free, err := w.Accounts.NoneAmong(w.ctx, w.tx, fresh)
	if err != nil {
		return nil, err
	}
	if !free {
		ids = append(ids, fresh...)
	}
	return w.Accounts.ByID(w.ctx, w.tx, ids)
}

// fresh is what is inserted together, which takes a fraction of the time it takes one
// by one.
type fresh struct {
	accounts, groups []*plan.Change
	members          []*plan.Change // memberships of groups that are new
}

func (w *writer) fail(c *plan.Change, reason string) {
	w.outcomes = append(w.outcomes, apply.Outcome{Change: c, Failed: reason})
}

// refuse says why a change cannot be written, or "".
func (w *writer) refuse(c *plan.Change, taken map[string]string) string {
	was := w.was[c.Account]
	if c.Action == plan.Create {
		if was != nil {
			return fmt.Sprintf("its account ID is taken by an account of %s (%s)", was.Connection, was.Text[account.Username])
		}
	} else {
		if was == nil {
			return "the account no longer exists"
		}
		if was.Version != c.Version {
			return "the account was changed after the plan was made"
		}
	}
	for _, f := range [...]account.Field{account.Username, account.Email} {
		if c.Action != plan.Create && !c.Fields.Has(plan.Text(f)) {
			continue
		}
		if by, ok := taken[nameKey(f, c.After.Text[f])]; ok && by != c.Account.String() {
			return fmt.Sprintf("the %s %q was given to account %s after the plan was made", f, c.After.Text[f], by)
		}
	}
	if c.Action == plan.Create {
		for _, v := range account.Values(w.b.Match, &c.After.Text, c.After.Attributes) {
			if by, ok := taken[valueKey(v)]; ok {
				return fmt.Sprintf("the %s %q was given to account %s after the plan was made", v.Name, v.Key, by)
			}
		}
	}
	return ""
}

// givenAway says which name of somebody who comes back, and whose names the plan
// leaves as they are, belongs to somebody else by now; or "". A leaver's names
// are free for others.
func (w *writer) givenAway(c *plan.Change) (string, error) {
	was := w.was[c.Account]
	if was == nil || c.After == nil || !c.Fields.Has(plan.FieldStatus) || c.After.Status == account.Deleted || !was.Left() || c.After.Left() {
		return "", nil
	}
	for f, column := range [...]string{account.Username: "username_key", account.Email: "email_key"} {
		f := account.Field(f)
		if c.Fields.Has(plan.Text(f)) {
			continue // the plan has judged the new one
		}
		by := ""
		err := db.Each(w.ctx, w.tx, `SELECT id, status, cause FROM accounts WHERE organization = $1 AND `+column+` = $2`,
			[]any{w.b.Organization, account.Fold(was.Text[f])}, func(rows *sql.Rows) error {
				var h match.Holder
				err := rows.Scan(&h.ID, &h.Status, &h.Cause)
				if err == nil && h.ID != c.Account && !h.Leaver() && !w.givesUp(h.ID, f) {
					by = h.ID.String()
				}
				return err
			})
		if err != nil {
			return "", err
		}
		if by != "" {
			return fmt.Sprintf("the %s %q was given to account %s while its person was away", f, was.Text[f], by), nil
		}
	}
	return "", nil
}

// givesUp reports that this batch takes a name from an account.
func (w *writer) givesUp(id account.ID, f account.Field) bool {
	return slices.ContainsFunc(w.b.Changes, func(c plan.Change) bool {
		return c.Target == plan.Account && c.Account == id && c.After != nil && (c.Fields.Has(plan.Text(f)) || c.Fields.Has(plan.FieldStatus) && c.After.Left())
	})
}

func nameKey(f account.Field, value string) string {
	return f.String() + "\x00" + account.Fold(value)
}

func valueKey(v account.Value) string { return v.Name + "\x00" + v.Key }

// taken finds names of this batch that accounts of others took since the plan
// was made. What this connection holds, the plan has judged already.
func (w *writer) taken() (map[string]string, error) {
	out := map[string]string{}
	if changed, err := othersChanged(w.ctx, w.tx, w.b.Organization, w.b.Lease.Connection, w.b.Basis.At); err != nil || !changed {
		return out, err
	}
	for f, column := range map[account.Field]string{account.Username: "username_key", account.Email: "email_key"} {
		var names []string
		for i := range w.b.Changes {
			c := &w.b.Changes[i]
			if c.Target == plan.Account && c.After != nil && (c.Action == plan.Create || c.Fields.Has(plan.Text(f))) {
				names = append(names, account.Fold(c.After.Text[f]))
			}
		}
		const most = 500
		for len(names) > 0 {
			part := names[:min(most, len(names))]
			names = names[len(part):]
			args := []any{w.b.Organization}
			for _, n := range part {
				args = append(args, n)
			}
			// Who counts is told apart here: with more conditions PostgreSQL, whose
			// statistics know nothing of rows just written, takes another index.
			err := db.Each(w.ctx, w.tx, `SELECT id, `+column+`, connection, status, cause, updated_at FROM accounts WHERE organization = $1 AND `+column+` IN `+db.In(2, len(part)), args, func(rows *sql.Rows) error {
				var h match.Holder
				var name string
				var updated int64
				err := rows.Scan(&h.ID, &name, &h.Connection, &h.Status, &h.Cause, &updated)
				if h.Connection != w.b.Lease.Connection && !h.Leaver() && updated > db.Micros(w.b.Basis.At) {
					out[f.String()+"\x00"+name] = h.ID.String()
				}
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return out, w.takenValues(out)
}

// takenValues adds the values by which accounts to be created would have been
// found, had they not come to accounts of others since the plan was made.
func (w *writer) takenValues(into map[string]string) error {
	var values []account.Value
	for i := range w.b.Changes {
		if c := &w.b.Changes[i]; c.Target == plan.Account && c.Action == plan.Create {
			values = append(values, account.Values(w.b.Match, &c.After.Text, c.After.Attributes)...)
		}
	}
	if len(values) == 0 {
		return nil
	}
	carriers, err := w.Accounts.Carriers(w.ctx, w.tx, w.b.Organization, values)
	if err != nil {
		return err
	}
	have, err := w.Accounts.ByID(w.ctx, w.tx, slices.Collect(maps.Keys(carriers)))
	if err != nil {
		return err
	}
	for id, a := range have {
		if a.Connection == w.b.Lease.Connection || a.Left() {
			continue
		}
		for _, v := range carriers[id] {
			into[valueKey(v)] = id.String()
		}
	}
	return nil
}

var accountColumns = []string{"id", "organization", "connection", "key", "external_id", "username_key", "email_key",
	"username", "email", "first_name", "last_name", "display_name", "mobile_phone", "phone", "language", "title", "department", "location", "role",
	"manager", "status", "cause", "attributes", "version", "created_at", "updated_at", "deleted_at"}

// commonColumns are what new accounts of a chunk mostly have in common.
var commonColumns = []string{"organization", "connection", "role", "status", "cause", "version", "created_at", "updated_at", "deleted_at"}

func fill(into []any, a *account.Account) {
	into[0], into[1], into[2], into[3], into[4] = a.ID[:], a.Organization, a.Connection, nil, a.ExternalID
	if a.Connection != account.Local && a.ExternalID != "" {
		key := directory.KeyOf(directory.User, directory.ExternalID(a.ExternalID))
		into[3] = key[:]
	}
	into[5], into[6] = account.Fold(a.Text[account.Username]), account.Fold(a.Text[account.Email])
	for f, v := range a.Text {
		into[7+f] = v
	}
	into[19] = nil
	if !a.Manager.IsZero() {
		into[19] = a.Manager[:]
	}
	into[20], into[21], into[22], into[23] = string(a.Status), string(a.Cause), a.Attributes, a.Version
	into[24], into[25], into[26] = db.Micros(a.CreatedAt), db.Micros(a.UpdatedAt), db.Micros(a.DeletedAt)
}

// insertAccounts inserts new accounts.
func (w *writer) insertAccounts() error {
	list := w.fresh.accounts
	if len(list) == 0 {
		return nil
	}
	w.fresh.accounts = nil
	for _, c := range list {
		c.After.Version, c.After.CreatedAt, c.After.UpdatedAt = 1, w.now, w.now
		w.tally.count(c.After, 1)
	}
	var beside sync.WaitGroup
	beside.Go(func() { // events are written out while the database is at work
		for _, c := range list {
			w.event(event.AccountCreated, c, nil, plan.Everything(c.After).JSON(c.After))
		}
	})
	err := w.tx.InsertAlike(w.ctx, "accounts", accountColumns, commonColumns, len(list), func(i int, into []any) {
		fill(into, list[i].After)
	}, "")
	beside.Wait()
	if err != nil || len(w.indexed) == 0 {
		return err
	}
	made := make([]*account.Account, len(list))
	for i, c := range list {
		made[i] = c.After
	}
	return accounts.PutValues(w.ctx, w.tx, w.b.Organization, w.indexed, made)
}

var accountEvents = map[plan.Action]event.Type{
	plan.Update: event.AccountUpdated, plan.Link: event.AccountLinked, plan.Disable: event.AccountDisabled,
	plan.Enable: event.AccountEnabled, plan.Delete: event.AccountDeleted, plan.Restore: event.AccountRestored,
}

func (w *writer) modify(c *plan.Change) error {
	a := *w.was[c.Account]
	c.Fields.Overlay(&a, c.After)
	a.Version++
	a.UpdatedAt = w.now
	switch {
	case a.Status != account.Deleted:
		a.DeletedAt = time.Time{}
	case a.DeletedAt.IsZero():
		a.DeletedAt = w.now
	}
	if a.Status != account.Active && w.was[c.Account].Status == account.Active {
		w.gone = append(w.gone, a.ID)
	}
	set, args := "version = version + 1", []any{a.ID[:], c.Version}
	into := make([]any, len(accountColumns))
	fill(into, &a)
	put := func(columns ...int) {
		for _, i := range columns {
			args = append(args, into[i])
			set += ", " + accountColumns[i] + " = " + db.Placeholder(len(args))
		}
	}
	for i := range a.Text {
		if c.Fields.Has(plan.Text(account.Field(i))) {
			put(7 + i)
		}
	}
	if c.Fields.Has(plan.Text(account.Username)) {
		put(5)
	}
	if c.Fields.Has(plan.Text(account.Email)) {
		put(6)
	}
	if c.Fields.Has(plan.FieldManager) {
		put(19)
	}
	if c.Fields.Has(plan.FieldStatus) {
		put(20, 21, 26)
	}
	if c.Fields.Has(plan.FieldAttributes) {
		put(22)
	}
	if c.Fields.Has(plan.FieldLink) {
		put(2, 3, 4)
	}
	put(25)
	n, err := w.tx.Exec(w.ctx, `UPDATE accounts SET `+set+` WHERE id = $1 AND version = $2`, args...)
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("ledger: account %s moved inside its own transaction", a.ID)
	}
	if err := accounts.MoveValues(w.ctx, w.tx, w.indexed, w.was[c.Account], &a); err != nil {
		return err
	}
	if err := plans.Moved(w.ctx, w.tx, w.b.Lease.Connection, w.was[c.Account], &a); err != nil {
		return err
	}
	w.tally.count(w.was[c.Account], -1)
	w.tally.count(&a, 1)
	before, after := c.Fields.JSON(c.Before), c.Fields.JSON(c.After)
	w.event(accountEvents[c.Action], c, before, after)
	return nil
}

func (w *writer) event(t event.Type, c *plan.Change, before, after []byte) {
	e := event.Event{Type: t, Organization: w.b.Organization, Connection: &w.b.Lease.Connection, Run: &w.b.Run, At: w.now, Actor: w.b.Actor,
		Before: before, After: after, Why: c.Why}
	if !c.Account.IsZero() {
		id := c.Account
		e.Account = &id
	}
	if !c.Group.IsZero() {
		id := c.Group
		e.Group = &id
	}
	w.events = append(w.events, e)
}

// failures keeps what could not be written beside the plan, so that a run which
// is carried on later still knows of it.
func (w *writer) failures() error {
	if len(w.outcomes) == 0 {
		return nil
	}
	return plan.NewNotes(func(c plan.Chunk) error {
		_, err := w.tx.Exec(w.ctx, `INSERT INTO plan_chunks (plan, part, seq, first, body) VALUES ($1, 'failed', $2, 0, $3)`, w.b.Plan, w.b.Seq, c.Body)
		return err
	}, apply.Notes(w.outcomes))
}

// secrets gives accounts the password hashes their mirror rows carry.
func (w *writer) secrets() error {
	failed := map[account.ID]bool{}
	for _, o := range w.outcomes {
		failed[o.Change.Account] = true
	}
	for i := range w.b.Changes {
		c := &w.b.Changes[i]
		if !c.Secret || failed[c.Account] {
			continue
		}
		_, err := w.tx.Exec(w.ctx, `INSERT INTO credentials (account, hash, given, updated_at)
			SELECT CAST($1 AS `+w.tx.Bytes()+`), secret, secret, CAST($4 AS bigint) FROM mirror WHERE connection = $2 AND key = $3 AND secret <> ''
			ON CONFLICT (account) DO UPDATE SET hash = excluded.hash, given = excluded.given, updated_at = excluded.updated_at`,
			c.Account[:], w.b.Lease.Connection, c.Key[:], db.Micros(w.now))
		if err != nil {
			return err
		}
		if c.Action == plan.Create {
			continue // nobody was ever signed in
		}
		if err := passwords.Void(w.ctx, w.tx, w.now, c.Account); err != nil {
			return err
		}
	}
	return nil
}
