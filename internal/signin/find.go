package signin

import (
	"context"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

// Place is where people sign in, as pages name it.
type Place struct {
	Alias        string // account.Local for accounts that no connection keeps
	Organization string
	Company      string // the organization's name
	Kept         bool   // passwords are kept here, and no directory is asked
	Provider     bool   // people sign in at their company's own provider
}

// Local reports accounts that no connection keeps.
func (p Place) Local() bool { return p.Alias == account.Local }

// Place gives one, or a fault.NotFound where nobody signs in.
func (s *Service) Place(ctx context.Context, alias, organization string) (*Place, error) {
	p, err := s.place(ctx, Attempt{Connection: alias, Organization: organization})
	if err != nil {
		return nil, err
	}
	names, err := s.Store.OrganizationTable.Names(ctx, p.organization, 1)
	if err != nil {
		return nil, err
	}
	out := &Place{Alias: p.alias, Organization: p.organization, Kept: p.kept, Provider: p.provider != nil, Company: names[p.organization]}
	if out.Company == "" {
		out.Company = p.organization
	}
	return out, nil
}

// Places gives where the people of an organization sign in.
func (s *Service) Places(ctx context.Context, organization string) ([]Place, error) {
	names, err := s.Store.OrganizationTable.Names(ctx, organization, 1)
	if err != nil {
		return nil, err
	}
	company, ok := names[organization]
	if !ok {
		return nil, fault.New(fault.NotFound, "there is no sign-in for %q", organization).WithHint("look at the address once more, or ask whoever gave it to you")
	}
	var out []Place
	err = s.Connections.Each(ctx, organization, func(c setting.Connection) error {
		if s.enabled(c) {
			out = append(out, Place{Alias: c.Alias, Organization: organization, Company: company})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	local, err := s.Store.PasswordTable.Any(ctx, organization)
	if local {
		out = append(out, Place{Alias: account.Local, Organization: organization, Company: company})
	}
	return out, err
}

func (s *Service) enabled(c setting.Connection) bool {
	kind, ok := s.Kinds(c.Kind)
	return ok && Enabled(c, kind)
}

// domains are the connections by the e-mail domains of their people, as they were a
// moment ago.
type domains struct {
	by  map[string][]string
	all []string // the first two there are
	at  time.Time
}

// domainsFor is how long what is known of domains is good: connections may be
// changed on another node.
const domainsFor = time.Minute

// ByDomain gives where people sign in who have an e-mail address of a domain. With ""
// it gives the only place there is, where there is one only.
func (s *Service) ByDomain(ctx context.Context, domain string) ([]Place, error) {
	s.looking.Lock()
	defer s.looking.Unlock()
	if d := s.domains; d == nil || s.Now().Sub(d.at) >= domainsFor {
		fresh := &domains{by: map[string][]string{}, at: s.Now()}
		err := s.Connections.Each(ctx, "", func(c setting.Connection) error {
			if !s.enabled(c) {
				return nil
			}
			if len(fresh.all) < 2 {
				fresh.all = append(fresh.all, c.Alias)
			}
			for _, name := range c.SignIn.Domains {
				fresh.by[name] = append(fresh.by[name], c.Alias)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		s.domains = fresh
	}
	aliases := s.domains.by[strings.ToLower(domain)]
	if domain == "" {
		aliases = nil
		if len(s.domains.all) == 1 {
			aliases = s.domains.all
		}
	}
	var out []Place
	for _, alias := range slices.Clone(aliases) {
		p, err := s.Place(ctx, alias, "")
		if fault.KindOf(err) == fault.NotFound && err != nil {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, *p)
	}
	return out, nil
}
