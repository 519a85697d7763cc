package admins

import (
	"context"
	"net/netip"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/tries"
)

// Tries are counted before they are made, in the database that all nodes share: a
// thousand at once are no more than one after the other. Each is counted for the
// e-mail address, whether anybody has it or not, and for the network address.
// Where the administrator signed in from this address before, it is counted for
// the two together instead: a stranger can keep an e-mail address waiting, but not
// whoever sits where they always sit.
const (
	freeTries     = 5              // of an e-mail address
	freeOfNetwork = 20             // of a network address, which many people may share
	triesForget   = 24 * time.Hour // after the last try
	tellEvery     = time.Minute
	knownFor      = 90 * 24 * time.Hour // an address is, after the last sign-in from it
)

func rule(free int) tries.Rule {
	return tries.Rule{Free: free, First: 5 * time.Second, Longest: 15 * time.Minute, Forget: triesForget}
}

// TooManyError says that there were too many tries. It is a fault.Denied.
type TooManyError = tries.TooManyError

// Waits gives how long to wait where an error is about too many tries.
func Waits(err error) (time.Duration, bool) { return tries.Waits(err) }

func (s *Admins) tries() tries.Table { return tries.Table{DB: s.DB, Name: "admin_tries"} }

// countedFor gives the counters of a try, of which the first is the person's.
func (s *Admins) countedFor(kind, who string, from netip.Addr, known bool) ([]tries.Counter, error) {
	texts := []string{kind + "\x00" + who}
	free := []int{freeTries}
	if known {
		texts[0] += "\x00" + tries.Network(from)
	} else if from.IsValid() {
		texts, free = append(texts, "network\x00"+tries.Network(from)), append(free, freeOfNetwork)
	}
	out := make([]tries.Counter, len(texts))
	for i, text := range texts {
		id, err := s.Ring.Fingerprint("administrator tries", text)
		if err != nil {
			return nil, err
		}
		out[i] = tries.Counter{ID: id, Rule: rule(free[i])}
	}
	return out, nil
}

// Locks are taken in one order everywhere: the events, then administrators, then
// tries. begin is alone in taking tries only.

// begin counts a try, or gives a *TooManyError and counts nothing.
func (s *Admins) begin(ctx context.Context, counters []tries.Counter) error {
	return s.tries().Begin(ctx, counters, s.now())
}

// forgive forgets the tries of the person who signed in. Those of the network
// address are only given back: somebody's own account must not pay for tries at
// those of others.
func (s *Admins) forgive(ctx context.Context, tx *db.Tx, counters []tries.Counter) error {
	if err := s.tries().Forget(ctx, tx, counters[:1]); err != nil {
		return err
	}
	return s.tries().GiveBack(ctx, tx, counters[1:], s.now())
}

// failed tells of a try that was wrong, once a minute. a is nil for an e-mail
// address nobody has; the address itself is then left out, people type passwords
// into that field.
func (s *Admins) failed(ctx context.Context, a *Administrator, c tries.Counter, from netip.Addr, agent, factor string) error {
	now := s.now()
	if due, err := s.tries().Due(ctx, c.ID, tellEvery, now); err != nil || !due {
		return err
	}
	if err := s.tries().Prune(ctx, now.Add(-triesForget)); err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		if tell, err := s.tries().Tell(ctx, tx, c.ID, tellEvery, now); err != nil || !tell {
			return err
		}
		what, organization := &about{}, ""
		if a != nil {
			what, organization = aboutOf(a), a.Organization
		}
		what.Address, what.Agent, what.Factor = ShownAddress(from), ShownAgent(agent), factor
		return told(ctx, tx, event.AdminSignInFailed, organization, "stranger", now, nil, what)
	})
}

// knows reports whether an administrator signed in from this network before.
func (s *Admins) knows(ctx context.Context, admin string, from netip.Addr) (known bool, err error) {
	err = s.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM admin_addresses WHERE admin = $1 AND address = $2 AND at > $3)`,
		admin, tries.Network(from), db.Micros(s.now().Add(-knownFor))).Scan(&known)
	return known && from.IsValid(), db.Explain("look an address up", err)
}

func (s *Admins) remember(ctx context.Context, tx *db.Tx, admin string, from netip.Addr, now time.Time) error {
	if _, err := tx.Exec(ctx, `DELETE FROM admin_addresses WHERE admin = $1 AND at < $2`, admin, db.Micros(now.Add(-knownFor))); err != nil || !from.IsValid() {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO admin_addresses (admin, address, at) VALUES ($1, $2, $3) ON CONFLICT (admin, address) DO UPDATE SET at = excluded.at`,
		admin, tries.Network(from), db.Micros(now))
	return err
}
