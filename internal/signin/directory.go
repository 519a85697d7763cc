package signin

import (
	"context"
	"reflect"
	"slices"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// door is a connection that people come in through: made once for its settings, and
// closed when they are others and nobody stands in it any more.
type door struct {
	c    setting.Connection
	gate *gate

	opening       chan struct{} // holds a token: whose turn it is to open
	authenticator source.Authenticator
	door          Door

	users int  // under the Service's lock
	gone  bool // too: the last to leave closes it
}

// askDirectory has the directory prove the password, and makes an account of whoever
// it vouches for. An error says that the directory could not be asked: what it says
// is a verdict.
func (s *Service) askDirectory(ctx context.Context, c setting.Connection, kind source.Kind, t *try) (*verdict, error) {
	return s.atDoor(ctx, c, kind, t, func(ctx context.Context, d *door) (source.Proof, error) {
		return d.authenticator.Prove(ctx, t.Login, t.Password, d.door.Attributes())
	})
}

// atDoor asks the directory something about whoever stands at the door, and lets in
// whom it vouches for.
func (s *Service) atDoor(ctx context.Context, c setting.Connection, kind source.Kind, t *try, ask func(context.Context, *door) (source.Proof, error)) (*verdict, error) {
	if len(c.Unset) > 0 {
		return nil, fault.New(fault.Unavailable, "connection %s has settings without a value: %s", c.Alias, c.Unset[0].Problem)
	}
	d, leave := s.enter(c)
	defer leave()
	proof, err := s.prove(ctx, d, kind, ask)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "%w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, longestAdmission)
	defer cancel()
	return s.admit(ctx, d, t, proof)
}

// longestAdmission is how long making or changing one account may take: a run of the
// connection may be going on.
const longestAdmission = 30 * time.Second

func (s *Service) prove(ctx context.Context, d *door, kind source.Kind, ask func(context.Context, *door) (source.Proof, error)) (proof source.Proof, err error) {
	o := s.Settings()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	done, err := d.gate.enter(ctx, o.AtOnce)
	if err != nil {
		return proof, err
	}
	defer func() { done(err == nil) }()
	if err := s.open(ctx, d, kind); err != nil {
		return proof, err
	}
	return ask(ctx, d)
}

// open opens what asks the directory, and the door, where they are not open yet.
func (s *Service) open(ctx context.Context, d *door, kind source.Kind) (err error) {
	select {
	case d.opening <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-d.opening }()
	if d.authenticator == nil {
		if d.authenticator, err = s.authenticator(ctx, d.c, kind); err != nil {
			d.authenticator = nil
			return err
		}
	}
	if d.door == nil {
		if d.door, err = s.Open(ctx, d.c); err != nil {
			d.door = nil
		}
	}
	return err
}

// authenticator opens what asks the directory: from here, or through its agents.
func (s *Service) authenticator(ctx context.Context, c setting.Connection, kind source.Kind) (source.Authenticator, error) {
	if s.Remotes != nil {
		far, err := s.Remotes(ctx, c)
		if err != nil {
			return nil, err
		}
		if far != nil && far.Authenticator != nil {
			return far.Authenticator()
		}
	}
	return kind.Authenticator(c.Backend, s.Env)
}

// settled is a connection as it is in force.
func (s *Service) settled(ctx context.Context, c setting.Connection) (setting.Connection, error) {
	if s.Settled == nil {
		return c, nil
	}
	return s.Settled(ctx, c)
}

// reasons are the standings in the words of the API. What is not among them is an
// invalid login or password.
var reasons = map[source.Standing]Reason{
	source.Disabled: Disabled, source.NotHere: Disabled, source.Ended: Expired, source.Expired: Expired, source.Locked: Locked,
	source.MustChange: MustChangePassword, source.NotReadable: NotInScope,
}

// refusals are those of the engine.
var refusals = map[engine.Refusal]Reason{
	engine.AccountDisabled: Disabled, engine.NotInScope: NotInScope, engine.WaitsForDecision: NotInScope, engine.LicenceFull: LicenceFull,
}

// admit makes an account of whoever was proved.
func (s *Service) admit(ctx context.Context, d *door, t *try, proof source.Proof) (*verdict, error) {
	v := &verdict{account: t.account, right: proof.Right, exact: string(proof.Standing), detail: proof.Detail, entry: proof.Name}
	if proof.Standing != source.Proved {
		if v.reason = reasons[proof.Standing]; v.reason == "" {
			v.reason, v.right = InvalidCredentials, false
		}
		return v, nil
	}
	if proof.Record == nil {
		return nil, fault.New(fault.Internal, "connection %s: the directory vouches for %q and shows no entry", d.c.Alias, proof.Name)
	}
	v.right = true
	// The one who signs in does it to their own account.
	admission, err := d.door.Admit(ctx, proof.Record, "sign-in")
	if err != nil {
		return nil, err
	}
	v.account, v.run = admission.Account, admission.Run
	if admission.Refusal != engine.NotRefused {
		v.reason, v.exact, v.detail = refusals[admission.Refusal], string(admission.Refusal), admission.Detail
		if v.reason == "" {
			v.reason = NotInScope
		}
		return v, nil
	}
	switch {
	case v.account == nil:
		return nil, fault.New(fault.Internal, "connection %s: %q was let in and has no account", d.c.Alias, proof.Name)
	case v.account.Status != account.Active:
		v.reason, v.exact = Disabled, "account_"+string(v.account.Status)
	}
	return v, nil
}

// enter gives the door of a connection as its settings are now. leave must be called
// afterwards.
func (s *Service) enter(c setting.Connection) (d *door, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d = s.doors[c.Alias]
	if d != nil && !reflect.DeepEqual(d.c, c) {
		s.drop(d)
		d = nil
	}
	if d == nil {
		d = &door{c: c, gate: newGate(s.Now), opening: make(chan struct{}, 1)}
		s.doors[c.Alias] = d
	}
	d.users++
	return d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		d.users--
		s.closeUnused(d)
	}
}

// drop takes a door away, under the lock. Who stands in it finishes.
func (s *Service) drop(d *door) {
	if s.doors[d.c.Alias] == d {
		delete(s.doors, d.c.Alias)
	}
	d.gone = true
	s.closeUnused(d)
}

func (s *Service) closeUnused(d *door) {
	if !d.gone || d.users > 0 || d.authenticator == nil {
		return
	}
	a := d.authenticator
	d.authenticator = nil
	if err := a.Close(); err != nil {
		s.Log.Warn("connections to a directory could not be closed", "connection", d.c.Alias, "error", err.Error())
	}
}

// Forget closes what is open of a connection: its settings were changed, or it is
// gone. The next attempt opens it anew.
func (s *Service) Forget(alias string) {
	s.looking.Lock()
	s.domains = nil
	s.looking.Unlock()
	s.shutDoor(alias)
}

func (s *Service) shutDoor(alias string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.doors[alias]; d != nil {
		s.drop(d)
	}
}

// Close closes everything that is open.
func (s *Service) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.doors {
		s.drop(d)
	}
	return nil
}

// Shut are the connections whose directory is not asked at the moment, in their
// order: it did not answer.
func (s *Service) Shut() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for alias, d := range s.doors {
		if d.gate.shut() {
			out = append(out, alias)
		}
	}
	slices.Sort(out)
	return out
}
