package servertest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	goldap "github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/rig/servers"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source/ldap"
)

// anchors are the attributes external IDs come from.
var anchors = map[string]string{
	servers.ActiveDirectory: "objectGUID", servers.OpenLDAP: "entryUUID", servers.DirectoryServer: "nsUniqueId", servers.ApacheDS: "entryUUID",
}

// readings are what a full reading of the sample directory must bring.
var readings = []check{
	{name: "The server is recognised", run: func(ctx context.Context, s *servers.Server) error {
		p, err := look(ctx, s, nil)
		if err == nil && (p.preset.Vendor != s.Vendor || p.preset.Anchor != anchors[s.Vendor]) {
			err = fmt.Errorf("as %s, with external IDs from %s", p.preset.Vendor, p.preset.Anchor)
		}
		return err
	}},
	{name: "External IDs are the server's own", run: ownIDs},
	{name: "Names and attributes, in any script", run: names},
	{name: "Managers", run: managers},
	{name: "Groups and their members", run: groups},
	{name: "Disabled people are recognised", run: func(ctx context.Context, s *servers.Server) error {
		p, err := full(ctx, s, nil)
		if err != nil {
			return err
		}
		return p.disabled(servers.DisabledUID)
	}},
	{name: "Pages of seven make the same picture", run: func(ctx context.Context, s *servers.Server) error {
		whole, err := full(ctx, s, nil)
		if err != nil {
			return err
		}
		paged, err := full(ctx, s, setting.Values{"sync.page_size": 7})
		if err != nil {
			return err
		}
		return paged.differs(whole)
	}},
}

// ownIDs holds every external ID against what the administrator sees.
func ownIDs(ctx context.Context, s *servers.Server) error {
	p, err := full(ctx, s, nil)
	if err != nil {
		return err
	}
	c, err := s.Admin()
	if err != nil {
		return err
	}
	defer c.Close()
	want := map[string]directory.ExternalID{}
	for _, base := range []string{s.PeopleBase, s.GroupsBase} {
		r, err := c.Search(goldap.NewSearchRequest(base, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 0, 0, false, "(objectClass=*)", []string{anchors[s.Vendor]}, nil))
		if err != nil {
			return err
		}
		for _, e := range r.Entries {
			raw := e.GetRawAttributeValues(anchors[s.Vendor])
			if len(raw) != 1 {
				return fmt.Errorf("%s has %d values of %s", e.DN, len(raw), anchors[s.Vendor])
			}
			id := string(raw[0])
			if s.Vendor == servers.ActiveDirectory {
				id = guid(raw[0])
			}
			want[ldap.Refer(e.DN)] = directory.ExternalID(id)
		}
	}
	if len(p.records) != len(servers.Company())+len(servers.Groups()) {
		return fmt.Errorf("%d records", len(p.records))
	}
	for k, r := range p.records {
		if k.id != want[ldap.Refer(r.Ref)] || k.id == "" {
			return fmt.Errorf("%s has the ID %q, want %q", r.Name, k.id, want[ldap.Refer(r.Ref)])
		}
	}
	return nil
}

// guid is the usual text form: the first three parts are little-endian.
func guid(b []byte) string {
	if len(b) != 16 {
		return fmt.Sprintf("%d bytes", len(b))
	}
	b = slices.Clone(b)
	slices.Reverse(b[0:4])
	slices.Reverse(b[4:6])
	slices.Reverse(b[6:8])
	h := hex.EncodeToString(b)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

func names(ctx context.Context, s *servers.Server) error {
	p, err := full(ctx, s, nil)
	if err != nil {
		return err
	}
	var errs []error
	for _, want := range s.People() {
		got, err := p.uid(want.UID)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t := got.Text
		if t[account.FirstName] != want.Given || t[account.LastName] != want.Surname || t[account.DisplayName] != want.Name() ||
			t[account.Email] != want.Mail || t[account.Title] != want.Title || len(got.Problems)+len(got.Warnings) > 0 {
			errs = append(errs, fmt.Errorf("%s is %q, problems %q, warnings %q; want %+v", want.UID, t, got.Problems, got.Warnings, want))
		}
	}
	return errors.Join(errs...)
}

func managers(ctx context.Context, s *servers.Server) error {
	p, err := full(ctx, s, nil)
	if err != nil {
		return err
	}
	var errs []error
	for _, want := range s.People() {
		errs = append(errs, p.reports(want.UID, want.Manager))
	}
	return errors.Join(errs...)
}

// reports is nil when somebody's manager is another; "" is nobody.
func (p *picture) reports(uid, manager string) error {
	got, err := p.uid(uid)
	if err != nil {
		return err
	}
	found := ""
	if k, ok := p.meant(got.record, got.Manager); ok {
		found = p.login(k)
	}
	if found != manager {
		return fmt.Errorf("%s reports to %q (%s), want %q", uid, found, got.Manager, manager)
	}
	return nil
}

// groups includes those in other groups, and the empty one.
func groups(ctx context.Context, s *servers.Server) error {
	p, err := full(ctx, s, nil)
	if err != nil {
		return err
	}
	var errs []error
	for _, want := range servers.Groups() {
		members := slices.Clone(want.Members)
		for _, g := range want.Groups {
			members = append(members, "["+g+"]")
		}
		errs = append(errs, p.holds(want.Name, members...))
	}
	return errors.Join(errs...)
}

// holds is nil when a group has these members and no others.
func (p *picture) holds(group string, want ...string) error {
	got, err := p.members(group)
	if err != nil {
		return err
	}
	if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
		return fmt.Errorf("%s has the members %q, want %q", group, got, want)
	}
	return nil
}

// disabled is nil when these people are and nobody else is.
func (p *picture) disabled(uids ...string) error {
	var got []string
	for k, r := range p.records {
		if k.kind != directory.User {
			continue
		}
		if u, err := p.uid(p.login(k)); err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		} else if u.Disabled {
			got = append(got, p.login(k))
		}
	}
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(uids)); !slices.Equal(got, want) {
		return fmt.Errorf("disabled are %q, want %q", got, want)
	}
	return nil
}
