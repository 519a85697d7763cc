package signin

import (
	"context"
	"encoding/json"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/tries"
)

// about is what events tell of an attempt. Nothing in it was typed by whoever made it.
type about struct {
	Reason  string `json:"reason,omitempty"` // exactly
	Detail  string `json:"detail,omitempty"` // what the directory or the engine said
	Entry   string `json:"entry,omitempty"`  // of the directory, where nobody has an account yet
	Count   int    `json:"count,omitempty"`  // of attempts at logins that nobody has, since the last event
	Address string `json:"address,omitempty"`
	Agent   string `json:"agent,omitempty"`
	Via     string `json:"via,omitempty"`
}

func aboutOf(t *try) about {
	return about{Address: admins.ShownAddress(t.From), Agent: admins.ShownAgent(t.Agent), Via: t.Via}
}

func (s *Service) tell(ctx context.Context, tx *db.Tx, what event.Type, p *place, a *account.Account, run, actor string, after about) error {
	b, err := json.Marshal(after)
	if err != nil {
		return err
	}
	e := event.Event{Type: what, Organization: p.organization, At: s.now(), Actor: actor, Before: json.RawMessage("null"), After: b}
	if p.alias != account.Local {
		e.Connection = &p.alias
	}
	if a != nil {
		e.Account = &a.ID
	}
	if run != "" {
		e.Run = &run
	}
	return events.Record(ctx, tx, e)
}

func actorOf(a *account.Account) string { return "account:" + a.ID.String() }

// signedIn writes down that somebody is in: their tries are forgotten, where they sit
// is remembered. The network's try is only given back: somebody's own account must
// not pay for guesses at those of others.
func (s *Service) signedIn(ctx context.Context, p *place, t *try, v *verdict) error {
	return s.Store.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		if err := s.tries.Forget(ctx, tx, t.counters[:t.own]); err != nil {
			return err
		}
		if err := s.tries.GiveBack(ctx, tx, t.counters[t.own:], s.now()); err != nil {
			return err
		}
		if t.place != "" {
			if err := s.places.Remember(ctx, tx, t.place, s.now()); err != nil {
				return err
			}
		}
		return s.tell(ctx, tx, event.AccountSignedIn, p, v.account, v.run, actorOf(v.account), aboutOf(t))
	})
}

// failed tells of an attempt that was refused, once a minute for each person. Of
// logins that lead to nobody only the number is told, for the whole place.
func (s *Service) failed(ctx context.Context, p *place, t *try, v *verdict) error {
	now, id, count := s.now(), t.counters[0].ID, 0
	after := aboutOf(t)
	after.Reason, after.Detail = v.exact, v.detail
	nobody := v.account == nil && v.entry == ""
	if nobody {
		var err error
		if id, err = s.Ring.Fingerprint("sign-in tries", "nobody\x00"+p.organization+"\x00"+p.alias); err != nil {
			return err
		}
		// A counter that nobody ever waits for.
		if err := s.tries.Begin(ctx, []tries.Counter{{ID: id, Rule: tries.Rule{Free: 1 << 30, Forget: forget}}}, now); err != nil {
			return err
		}
		after = about{Reason: "nobody", Via: t.Via}
	} else if v.account == nil {
		after.Entry = v.entry
	}
	if due, err := s.tries.Due(ctx, id, tellEvery, now); err != nil || !due {
		return err
	}
	if err := s.tries.Prune(ctx, now.Add(-s.personal().Forget)); err != nil {
		return err
	}
	if err := s.places.Prune(ctx, now.Add(-knownFor)); err != nil {
		return err
	}
	return s.Store.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		if tell, err := s.tries.Tell(ctx, tx, id, tellEvery, now); err != nil || !tell {
			return err
		}
		if nobody {
			var err error
			if count, err = s.tries.Take(ctx, tx, id); err != nil {
				return err
			}
			after.Count = count
		}
		return s.tell(ctx, tx, event.AccountSignInFailed, p, v.account, v.run, "stranger", after)
	})
}

// SignedOut tells that somebody signed out, and ends their login.
func (s *Service) SignedOut(ctx context.Context, token string) error {
	l, a, err := s.Store.LoginTable.Check(ctx, token)
	if err != nil {
		return nil //nolint:nilerr // who is not signed in is out
	}
	p := &place{alias: l.Connection, organization: l.Organization}
	return s.Store.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		if err := s.Store.LoginTable.End(ctx, tx, l.ID); err != nil {
			return err
		}
		return s.tell(ctx, tx, event.AccountSignedOut, p, a, "", actorOf(a), about{})
	})
}
