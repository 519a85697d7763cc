package signin

import (
	"context"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// place is where an attempt is made: a connection, or an organization's accounts
// that no connection keeps.
type place struct {
	alias, organization string
	reasons             bool // people may be told
	changeFirst         bool
	kept                bool // passwords are kept here
	// ask tries the password. An error says that it could not be tried.
	ask func(ctx context.Context, s *Service, t *try) (*verdict, error)
	// provider is where people sign in in place of giving a password; nil for nowhere.
	provider *source.Provider
	// find is ask for somebody whom the provider vouches for; nil where there is no
	// directory to ask.
	find func(ctx context.Context, s *Service, t *try) (*verdict, error)
}

func errNoSignIn(alias string) error {
	return fault.New(fault.NotFound, "there is no sign-in at %q", alias).WithHint("look at the address once more, or ask whoever gave it to you")
}

// place finds where an attempt is to be made.
func (s *Service) place(ctx context.Context, a Attempt) (*place, error) {
	if a.Connection == account.Local {
		return s.localPlace(ctx, a.Organization)
	}
	c, kind, err := s.connection(ctx, a.Connection)
	if err != nil {
		return nil, err
	}
	if a.Organization != "" && a.Organization != c.Organization {
		return nil, errNoSignIn(a.Connection)
	}
	p := &place{alias: c.Alias, organization: c.Organization, reasons: c.SignIn.ShowReasons, changeFirst: c.SignIn.ChangeFirst}
	if p.provider, err = source.ProviderOf(c.Backend); err != nil {
		return nil, err
	}
	if kind.Authenticator == nil {
		p.ask, p.kept = kept, true
		return p, nil
	}
	p.find = func(ctx context.Context, s *Service, t *try) (*verdict, error) {
		return s.findInDirectory(ctx, c, kind, t)
	}
	p.ask = func(ctx context.Context, s *Service, t *try) (*verdict, error) {
		return s.askDirectory(ctx, c, kind, t)
	}
	return p, nil
}

// connection gives one that people sign in through.
func (s *Service) connection(ctx context.Context, alias string) (setting.Connection, source.Kind, error) {
	c, err := s.Connections.Connection(ctx, alias)
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			s.shutDoor(alias)
			err = errNoSignIn(alias)
		}
		return c, source.Kind{}, err
	}
	if c, err = s.settled(ctx, c); err != nil {
		return c, source.Kind{}, err
	}
	kind, ok := s.Kinds(c.Kind)
	if !ok || !Enabled(c, kind) {
		return c, kind, errNoSignIn(alias)
	}
	return c, kind, nil
}

// Enabled reports whether people sign in through a connection: by a password, or at
// their company's own provider.
func Enabled(c setting.Connection, kind source.Kind) bool {
	return c.SignIn.Enabled && (kind.Authenticator != nil || kind.Passwords || c.Backend.String("authentication.provider.issuer") != "")
}

// localPlace is an organization's own accounts.
func (s *Service) localPlace(ctx context.Context, organization string) (*place, error) {
	names, err := s.Store.OrganizationTable.Names(ctx, organization, 2)
	switch {
	case err != nil:
		return nil, err
	case len(names) == 0:
		return nil, errNoSignIn(account.Local)
	case len(names) > 1:
		return nil, fault.New(fault.NotFound, "whose person is it?").WithHint("say the organization too")
	}
	for id := range names {
		organization = id
	}
	return &place{alias: account.Local, organization: organization, reasons: true, changeFirst: s.Settings().ChangeFirst, ask: kept, kept: true}, nil
}
