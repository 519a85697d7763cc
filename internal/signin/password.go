package signin

import (
	"context"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/passwords"
)

// Change gives somebody whose password is kept here another one, by the one they
// have, and lets them in with it. Tries are limited as those to sign in. A bad new
// one is a fault.Invalid.
func (s *Service) Change(ctx context.Context, a Attempt, fresh string) (*Result, error) {
	if err := s.check(fresh, a.Login, a.Password); err != nil {
		return nil, err
	}
	r, err := s.Authenticate(ctx, a)
	if err != nil || r.Account == nil && !r.Own {
		return r, err
	}
	p, err := s.place(ctx, a)
	if err != nil {
		return nil, err
	}
	t, err := s.try(ctx, p, a)
	if err != nil {
		return nil, err
	}
	if t.account == nil || r.hash == "" {
		return nil, fault.New(fault.Conflict, "this password is not kept here").WithHint("change it where you usually do")
	}
	if err := CheckPassword(fresh, t.account); err != nil {
		return nil, err
	}
	hash, err := s.Hash(ctx, fresh)
	if err != nil {
		return nil, err
	}
	// It must still be the one that was proved.
	if err := s.Store.PasswordTable.Choose(ctx, t.account, r.hash, hash); err != nil {
		return nil, err
	}
	a.Password = fresh
	return s.Authenticate(ctx, a)
}

func (s *Service) check(fresh, login, old string) error {
	if fresh == old {
		return fault.New(fault.Invalid, "the new password is the old one").WithHint("choose another")
	}
	return admins.CheckPassword(fresh, login)
}

// CheckPassword is a fault.Invalid for a password that somebody may not have: the
// rules are those for administrators.
func CheckPassword(plain string, a *account.Account) error {
	if account.Fold(plain) == account.Fold(a.Text[account.Username]) {
		return fault.New(fault.Invalid, "the password is the username").WithHint("take at least 12 characters: four or five words that do not belong together are good")
	}
	return admins.CheckPassword(plain, a.Text[account.Email])
}

// PasswordLink makes a one-time link by which the person of an account chooses
// another password, and gives its path. It is a fault.Conflict where the password is
// the directory's.
func (s *Service) PasswordLink(ctx context.Context, a *account.Account, actor string) (path string, ends time.Time, err error) {
	if err := s.Keeps(ctx, a); err != nil {
		return "", ends, err
	}
	if a.Status != account.Active {
		return "", ends, fault.New(fault.Conflict, "the account is %s", a.Status).WithHint("a link is for somebody who may sign in")
	}
	token, ends, err := s.Store.PasswordTable.Link(ctx, a, actor)
	return s.PublicURL + passwords.Path + token, ends, err
}

// Keeps is a fault.Conflict where the password of an account is not kept here.
func (s *Service) Keeps(ctx context.Context, a *account.Account) error {
	if a.Connection == account.Local {
		return nil
	}
	c, err := s.Connections.Connection(ctx, a.Connection)
	if err != nil {
		return err
	}
	if c, err = s.settled(ctx, c); err != nil {
		return err
	}
	if kind, ok := s.Kinds(c.Kind); !ok || !kind.Passwords || kind.Authenticator != nil {
		return fault.New(fault.Conflict, "the password of this account is that of its directory (connection %s)", a.Connection).WithHint("it is changed there")
	}
	return nil
}

// ByLink gives the account a one-time link is for, or a fault.NotFound.
func (s *Service) ByLink(ctx context.Context, token string) (*account.Account, error) {
	return s.Store.PasswordTable.ByLink(ctx, token)
}

// UseLink gives the account of a one-time link the password its person chose.
func (s *Service) UseLink(ctx context.Context, token, fresh string) (*account.Account, error) {
	a, err := s.ByLink(ctx, token)
	if err != nil {
		return nil, err
	}
	if err := CheckPassword(fresh, a); err != nil {
		return nil, err
	}
	hash, err := s.Hash(ctx, fresh)
	if err != nil {
		return nil, err
	}
	return s.Store.PasswordTable.UseLink(ctx, token, hash)
}
