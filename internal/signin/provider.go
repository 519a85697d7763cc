package signin

import (
	"context"
	"fmt"
	"reflect"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/signin/upstream"
	"rollcall.dev/rollcall/internal/source"
)

// known is a relying party, and the settings it was made of.
type known struct {
	settings source.Provider
	party    *upstream.Party
}

// Begin sends somebody to their company's own provider: it gives the address there,
// and what Finish needs to know, which is to be sealed for this browser alone. Fresh
// has them prove who they are although they may be signed in there; a.Login is who
// they say they are, "" where they did not.
func (s *Service) Begin(ctx context.Context, a Attempt, fresh bool) (address string, state []byte, err error) {
	p, err := s.place(ctx, a)
	if err != nil {
		return "", nil, err
	}
	party, _, err := s.party(p)
	if err != nil {
		return "", nil, err
	}
	return party.Begin(ctx, upstream.Wish{Hint: a.Login, Fresh: fresh})
}

// Finish lets in whom the company's provider vouches for, by the answer with which
// the browser came back. A fault.Denied says that the answer is good for nothing.
func (s *Service) Finish(ctx context.Context, a Attempt, answer map[string][]string, state []byte) (*Result, error) {
	ctx = context.WithoutCancel(ctx)
	p, err := s.place(ctx, a)
	if err != nil {
		return nil, err
	}
	party, settings, err := s.party(p)
	if err != nil {
		return nil, err
	}
	began := s.Now()
	claims, err := party.Finish(ctx, answer, state)
	if err != nil {
		return nil, err
	}
	out := &Result{Organization: p.organization, Connection: p.alias, AuthAt: claims.AuthAt}
	if a.Login, err = nameOf(claims, settings.Claim); err != nil {
		return nil, err
	}
	v, err := s.vouched(ctx, p, a)
	if fault.KindOf(err) == fault.Unavailable && err != nil {
		s.Log.Warn("the directory could not be asked about a sign-in", "connection", p.alias, "error", err.Error())
		out.Unavailable = true
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	t := &try{Attempt: a, account: v.account}
	// Nobody guesses here, but failures are told of as seldom as others.
	if err := s.count(t, s.personal(), "provider\x00"+p.alias+"\x00"+key(a.Login)); err != nil {
		return nil, err
	}
	if v.reason != "" {
		if err := s.tries.Begin(ctx, t.counters, s.now()); err != nil {
			return nil, err
		}
		if err := s.giveBack(ctx, t); err != nil {
			return nil, err
		}
	}
	out, err = s.settle(ctx, p, t, v, out)
	if s.Told != nil {
		s.Told(a.Via, outcome(out, err), s.Now().Sub(began))
	}
	return out, err
}

// nameOf is what somebody is called in the directory, by what their provider says.
func nameOf(c upstream.Claims, claim string) (string, error) {
	text, _ := c.All[claim].(string)
	if !sane(text, longestLogin) {
		return "", fault.New(fault.Denied, "your company's provider does not say who you are (claim %s)", claim).
			WithHint("ask your administrator to have it say so, or to set authentication.provider.claim to one it gives")
	}
	if claim == "email" && !c.EmailVerified {
		return "", fault.New(fault.Denied, "your company's provider does not say that your e-mail address is yours (email_verified)").
			WithHint("ask your administrator to have it say so, or to set authentication.provider.claim to another, such as preferred_username")
	}
	return text, nil
}

// vouched finds or makes the account of somebody by the same stages as a password
// that was right.
func (s *Service) vouched(ctx context.Context, p *place, a Attempt) (*verdict, error) {
	found, err := s.Store.AccountTable.ByLogin(ctx, p.organization, p.alias, a.Login)
	if err != nil {
		return nil, err
	}
	t := &try{Attempt: a}
	if len(found) == 1 {
		t.account = found[0]
	}
	if p.find != nil {
		return p.find(ctx, s, t)
	}
	v := &verdict{account: t.account, right: true}
	switch {
	case t.account == nil:
		v.reason, v.exact = NotInScope, "nobody"
		if len(found) > 1 {
			v.exact = "several"
		}
	case t.account.Status != account.Active:
		v.reason, v.exact = Disabled, "account_"+string(t.account.Status)
	}
	return v, nil
}

// findInDirectory asks the directory for whom another has vouched for.
func (s *Service) findInDirectory(ctx context.Context, c setting.Connection, kind source.Kind, t *try) (*verdict, error) {
	v, err := s.atDoor(ctx, c, kind, t, func(ctx context.Context, d *door) (source.Proof, error) {
		return d.authenticator.Find(ctx, t.Login, d.door.Attributes())
	})
	if v != nil && v.reason == InvalidCredentials {
		// Who they are is certain: they are not among these people.
		v.reason, v.right = NotInScope, true
	}
	return v, err
}

// party gives the relying party of a place's provider.
func (s *Service) party(p *place) (*upstream.Party, *source.Provider, error) {
	if p.provider == nil {
		return nil, nil, errNoSignIn(p.alias)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.parties[p.alias]; k != nil && reflect.DeepEqual(k.settings, *p.provider) {
		return k.party, p.provider, nil
	}
	party, err := upstream.New(upstream.Options{Issuer: p.provider.Issuer, ClientID: p.provider.ClientID, Secret: p.provider.Secret, Scopes: p.provider.Scopes,
		Redirect: s.PublicURL + "/login/callback/" + p.alias, Dial: s.Dial, Now: s.Now})
	if err != nil {
		return nil, nil, err
	}
	s.parties[p.alias] = &known{*p.provider, party}
	return party, p.provider, nil
}

// errElsewhere is what a password is answered with where none is asked for.
func errElsewhere(alias string) error {
	return fault.New(fault.Conflict, "the people of connection %s sign in at their company's own provider, not with a password", alias).
		WithHint("send them to %s", fmt.Sprintf("/login/%s", alias))
}
