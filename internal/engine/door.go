package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/engine/safeguard"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// BySignIn is the trigger, and the method of reading, of a run that somebody made
// by signing in.
const BySignIn = "sign-in"

// Refusal says why somebody whom the directory vouches for gets no account.
type Refusal string

// The refusals.
const (
	NotRefused       Refusal = ""
	AccountDisabled  Refusal = "disabled"     // the account, or what the directory says of the person
	NotInScope       Refusal = "not_in_scope" // the connection's rules, or an entry that cannot be used
	LicenceFull      Refusal = "licence_full"
	WaitsForDecision Refusal = "waits" // a plan, a dispute or changed rules wait for a person
)

// Admission is what became of somebody at the door.
type Admission struct {
	Account *account.Account // as it is now; nil where there is none
	Refusal Refusal
	Detail  string // why, for whoever supports people
	Run     string // the run that made or changed the account; "" where nothing had to be done
}

// Door lets the people of one connection in, whom the directory vouches for: by
// the same stages as a run. It is made once for a connection's settings and may be
// used by many at the same time.
//
// It reads one person and not the directory, so it does no more than is certain
// from that: while a run works, or a plan or changed rules wait for somebody, who
// has an account comes in by it as it stands, and nobody gets one.
type Door struct {
	e      *Engine
	c      setting.Connection
	kind   source.Kind
	preset source.Preset
	rules  *rules
	one    sync.Mutex // passes of this process come one by one: the lease is for one of them
}

// Door opens one. It asks the directory what it is, once.
func (e *Engine) Door(ctx context.Context, c setting.Connection) (*Door, error) {
	if err := e.belongs(ctx, c); err != nil {
		return nil, err
	}
	c, err := e.Settled(ctx, c)
	if err != nil {
		return nil, err
	}
	kind, src, err := e.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer src.Close() //nolint:errcheck // nothing depends on it any more
	preset, err := src.Preset(ctx)
	if err != nil {
		return nil, err
	}
	r, err := e.compile(c, kind, preset)
	if err != nil {
		return nil, err
	}
	return &Door{e: e, c: c, kind: kind, preset: preset, rules: r}, nil
}

// Attributes are those that the directory is to be asked for.
func (d *Door) Attributes() []string { return d.rules.mapping.Attributes() }

// Admit gives the account of the person a record is of, made or changed where the
// record says something new. Who is known and has not changed costs a few reads and
// no write. An error says that it cannot be told now: a fault.Unavailable.
func (d *Door) Admit(ctx context.Context, r *directory.Record, actor string) (Admission, error) {
	if r.Problem != "" || r.ID == "" {
		return Admission{Refusal: NotInScope, Detail: r.Problem}, nil
	}
	now := d.e.now()
	u := d.rules.mapping.Map(r, now)
	in, why := len(u.Problems) == 0, strings.Join(u.Problems, "; ")
	if in {
		in, why = d.rules.scope.Admits(&u)
	}
	s, err := d.standing(ctx, r)
	if err != nil {
		return Admission{}, err
	}
	switch {
	case !in:
		// What becomes of the account is for a reading that saw everybody.
		return Admission{Account: s.account, Refusal: NotInScope, Detail: why}, nil
	case s.same && s.active() && !u.Disabled:
		return Admission{Account: s.account}, nil
	case s.same && u.Disabled && s.account != nil && !s.active():
		return Admission{Account: s.account, Refusal: AccountDisabled, Detail: u.StatusWhy}, nil
	}
	if s.account == nil {
		if u.Disabled {
			return Admission{Refusal: AccountDisabled, Detail: u.StatusWhy}, nil
		}
		if text, err := d.full(ctx); err != nil || text != "" {
			return Admission{Refusal: LicenceFull, Detail: text}, err
		}
	}
	run, waits, err := d.pass(ctx, r, arrival{actor: actor, disabled: u.Disabled, known: s.active() && !u.Disabled})
	if err != nil {
		return Admission{}, err
	}
	if s, err = d.standing(ctx, r); err != nil {
		return Admission{}, err
	}
	out := Admission{Account: s.account, Run: run, Detail: waits}
	switch {
	case u.Disabled:
		out.Refusal, out.Detail = AccountDisabled, u.StatusWhy
	case s.active():
	case s.account != nil:
		out.Refusal = AccountDisabled
		if waits == "" {
			out.Detail = s.account.Cause.Sentence()
		}
	default:
		out.Refusal = WaitsForDecision
		if waits == "" {
			out.Refusal, out.Detail, err = d.refused(ctx, r)
		}
	}
	return out, err
}

// standing is how a person stands at the door.
type standing struct {
	account *account.Account
	same    bool // the picture of the directory has the record as it is
}

func (s *standing) active() bool { return s.account != nil && s.account.Status == account.Active }

func (d *Door) standing(ctx context.Context, r *directory.Record) (s standing, err error) {
	key := directory.KeyOf(directory.User, r.ID)
	if s.account, err = d.e.Store.Accounts().Holding(ctx, d.c.Alias, key); err != nil || s.account == nil {
		return s, err
	}
	var hasher directory.Hasher
	err = d.e.Store.Mirror().Find(ctx, d.c.Alias, []directory.Digest{key}, func(_, hash directory.Digest, _ directory.Kind) {
		s.same = hash == hasher.Hash(r, "")
	})
	return s, err
}

// full says that there is no seat for one more, "" where there is. It is asked
// before anything is written: a plan that is held for it would be in the way of
// everybody who comes later.
func (d *Door) full(ctx context.Context) (string, error) {
	f, err := d.e.Store.Accounts().Facts(ctx, d.c.Organization, d.c.Alias)
	return safeguard.Licence(&plan.Summary{Seats: 1}, f), err
}

// outstanding says why nothing may be changed now, "" where it may: what was read
// and not applied would be applied with the person.
func (d *Door) outstanding(s State) string {
	switch {
	case d.c.Policy.DryRun:
		return HeldByDryRun
	case s.Planned != s.Generation:
		return "an earlier plan of the connection waits to be applied"
	case s.Attention != "":
		return s.Attention
	case s.Rules != "" && s.Rules != d.rules.fingerprint:
		return changedRules(s.RulesText, d.rules.text) + " changed since its last applied run; run it as a whole first"
	}
	return ""
}

// patience is how long somebody who has no account waits for others at the door, a
// run among them.
const patience = 3 * time.Second

// arrival is what a pass has to know besides the record.
type arrival struct {
	actor    string
	disabled bool // in the directory
	known    bool // has an account, and comes in without this pass too
}

// pass is a run that reads this person alone. waits says why there was none, or
// why its plan is held.
func (d *Door) pass(ctx context.Context, r *directory.Record, a arrival) (run, waits string, err error) {
	busy, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		run, waits, err = d.try(ctx, r, a)
		if !errors.Is(err, ErrBusy) {
			return run, waits, err
		}
		if a.known {
			return "", "the connection is being synchronised", nil
		}
		select {
		case <-busy.Done():
			return "", "", fault.New(fault.Unavailable, "connection %s is being synchronised: %w", d.c.Alias, err).WithHint("try again in a minute")
		case <-time.After(wait):
		}
	}
}

func (d *Door) try(ctx context.Context, r *directory.Record, a arrival) (id, waits string, err error) {
	d.one.Lock()
	defer d.one.Unlock()
	e, o := d.e, Options{Actor: a.actor, Trigger: BySignIn, given: r}
	err = e.hold(ctx, d.c, nil, func(ctx context.Context, lease mirror.Lease) error {
		p := &pass{e: e, c: d.c, o: o, lease: lease, kind: d.kind, preset: d.preset, rules: d.rules, began: e.now()}
		if p.state, err = e.Store.Leases().State(ctx, d.c.Alias); err != nil {
			return err
		}
		if waits = d.outstanding(p.state); waits != "" {
			return nil
		}
		// Another browser of the same person may have been quicker.
		if s, err := d.standing(ctx, r); err != nil || s.same && s.active() == !a.disabled {
			return err
		}
		run, err := e.start(ctx, d.c, lease, o, nil)
		if err != nil {
			return err
		}
		id = run.ID
		made, err := p.pass(ctx, run)
		if err != nil {
			return e.failed(ctx, lease, run, err)
		}
		if made.Verdict == plan.Held {
			waits = made.HeldBecause[0]
		}
		return nil
	})
	return id, waits, err
}

// refused finds why a pass made no account.
func (d *Door) refused(ctx context.Context, r *directory.Record) (Refusal, string, error) {
	kind, text := NotInScope, "in none of the selected groups" // all else that the rules say is known already
	err := d.e.Store.Plans().Open(ctx, d.c.Alias, directory.KeyOf(directory.User, r.ID), func(n plan.Note) error {
		switch n.Kind {
		case plan.Refused, plan.Dispute, plan.Failed, plan.Excluded:
			kind, text = WaitsForDecision, n.Text
		case plan.Problem:
			text = n.Text
		case plan.Warning, plan.Unresolved, plan.Due:
		}
		return nil
	})
	return kind, text, err
}

// arrived is a source whose reading brings one record that is here already, as a
// reading of changes in which nothing else is told of.
type arrived struct {
	source.Source // none: nothing is asked of it
	record        *directory.Record
}

// Read brings the person.
func (a arrived) Read(_ context.Context, _ source.Request, emit func(*directory.Record) error) (source.Reading, error) {
	return source.Reading{Complete: true, Method: BySignIn, Users: 1, Notes: []string{"One person was read, who signed in: " + a.record.Name + ". The members of groups were not."}}, emit(a.record)
}
