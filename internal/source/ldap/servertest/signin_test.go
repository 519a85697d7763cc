package servertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/rig/servers"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/ldap"
)

const wrongPassword = "Not-the-password-1"

// entrance is a row of the table of sign-ins: how somebody in a state is taken.
type entrance struct {
	name     string
	state    func(s *servers.Server, uid string) error // nil: as they come
	password string                                    // "" is the right one
	only     []string                                  // the vendors that have such a state; nil is all
	want     source.Standing
	right    bool
	but      map[string]source.Standing // by vendor, where the server says something else, and nothing of the password
	times    int                        // how often it is tried before, with a wrong password
}

func disable(s *servers.Server, uid string) error { return s.Disable(uid) }
func over(s *servers.Server, uid string) error    { return s.ExpirePassword(uid) }
func reset(s *servers.Server, uid string) error   { return s.ResetPassword(uid) }
func ended(s *servers.Server, uid string) error {
	return s.Expire(uid, time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC))
}
func atNoTime(s *servers.Server, uid string) error {
	return s.Restrict(uid, "logonHours", strings.Repeat("\x00", 21))
}
func elsewhere(s *servers.Server, uid string) error {
	return s.Restrict(uid, "userWorkstations", "ANOTHER")
}

var entrances = []entrance{
	{name: "The right password", want: source.Proved, right: true},
	{name: "A wrong password", password: wrongPassword, want: source.Wrong},
	// Of the password 389 Directory Server and OpenLDAP then say nothing at all.
	{name: "Disabled, the right password", state: disable, want: source.Disabled, right: true,
		but: map[string]source.Standing{servers.DirectoryServer: source.Disabled, servers.OpenLDAP: source.Locked, servers.ApacheDS: source.Locked}},
	{name: "Disabled, a wrong password", state: disable, password: wrongPassword, want: source.Wrong,
		but: map[string]source.Standing{servers.DirectoryServer: source.Disabled, servers.OpenLDAP: source.Locked}},
	{name: "An end date that is over, the right password", state: ended, only: []string{servers.ActiveDirectory}, want: source.Ended, right: true},
	{name: "An end date that is over, a wrong password", state: ended, only: []string{servers.ActiveDirectory}, password: wrongPassword, want: source.Wrong},
	{name: "Locked after wrong passwords, the right password", times: servers.FailuresToLock, want: source.Locked},
	{name: "Locked after wrong passwords, a wrong password", times: servers.FailuresToLock, password: wrongPassword, want: source.Locked,
		but: map[string]source.Standing{servers.ApacheDS: source.Wrong}},
	{name: "The password has expired, the right one", state: over, want: source.Expired, right: true},
	{name: "The password has expired, a wrong one", state: over, password: wrongPassword, want: source.Wrong},
	{name: "The password must be changed, the right one", state: reset, want: source.MustChange, right: true},
	{name: "The password must be changed, a wrong one", state: reset, password: wrongPassword, want: source.Wrong},
	{name: "At no hour, the right password", state: atNoTime, only: []string{servers.ActiveDirectory}, want: source.NotHere, right: true},
	{name: "From another machine alone, the right password", state: elsewhere, only: []string{servers.ActiveDirectory}, want: source.NotHere, right: true},
}

func TestHowASignInIsTaken(t *testing.T) {
	results := &table{}
	for _, e := range entrances {
		results.row(e.name)
	}
	t.Run("servers", func(t *testing.T) {
		for _, s := range all {
			t.Run(s.Vendor, func(t *testing.T) {
				t.Parallel()
				a := authenticator(t, s, nil)
				for i, e := range entrances {
					t.Run(e.name, func(t *testing.T) {
						uid := fmt.Sprintf("signin%d", i)
						cell, err := e.seen(t.Context(), s, a, uid)
						results.put(e.name, s.Vendor, cell)
						if err != nil {
							t.Error(err)
						}
					})
				}
			})
		}
	})
	if !results.complete() {
		t.Log("Only a part was run, which is not held against the table in docs/sources/ldap.md.")
		return
	}
	results.compare(t, "sign-ins")
}

func authenticator(t *testing.T, s *servers.Server, more setting.Values) source.Authenticator {
	t.Helper()
	a, err := ldap.Kind.Authenticator(settings(s, more), source.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// seen makes somebody, brings them into a state and lets them sign in.
func (e *entrance) seen(ctx context.Context, s *servers.Server, a source.Authenticator, uid string) (string, error) {
	if e.only != nil && !slices.Contains(e.only, s.Vendor) {
		return "–", nil
	}
	if err := s.AddPerson(uid, "Sign", "In "+uid, uid+"@example.org"); err != nil {
		return "**fails**", err
	}
	if e.state != nil {
		err := e.state(s, uid)
		if errors.Is(err, servers.ErrUntried) {
			return "not tried", nil
		}
		if err != nil {
			return "**fails**", err
		}
	}
	for range e.times {
		if p, err := a.Prove(ctx, uid, wrongPassword, nil); err != nil || p.Right {
			return "**fails**", fmt.Errorf("before: %+v, %w", p, err)
		}
	}
	password := servers.PersonPassword
	if e.password != "" {
		password = e.password
	}
	p, err := a.Prove(ctx, uid, password, []string{"mail"})
	if err != nil {
		return "**fails**", err
	}
	cell := fmt.Sprintf("`%s`", p.Standing)
	want, right := e.want, e.right
	if but, ok := e.but[s.Vendor]; ok {
		want, right = but, false
	}
	if p.Standing != want || p.Right != right {
		return cell, fmt.Errorf("%s, right %v (%s), want %s, right %v", p.Standing, p.Right, p.Detail, want, right)
	}
	if p.Record == nil || p.Record.First("mail") != uid+"@example.org" || !strings.Contains(p.Name, uid) && s.Vendor != servers.ActiveDirectory {
		return cell, fmt.Errorf("%+v", p)
	}
	return cell, nil
}

// The record of a sign-in must be the one of a reading, to the last value: whoever
// compares their hashes would take any difference for a change.
func TestASignInBringsTheRecordOfAReading(t *testing.T) {
	for _, s := range all {
		t.Run(s.Vendor, func(t *testing.T) {
			t.Parallel()
			p, err := look(t.Context(), s, nil)
			if err != nil {
				t.Fatal(err)
			}
			src, err := p.open()
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			attributes := append(p.mapping.Attributes(), "objectSid", "memberOf", "objectClass")
			var hasher directory.Hasher
			want := map[string]directory.Digest{}
			read, err := src.Read(t.Context(), source.Request{Attributes: attributes}, func(r *directory.Record) error {
				if r.Kind == directory.User {
					want[strings.Clone(r.Name)] = hasher.Hash(r, "")
				}
				return nil
			})
			if err != nil || !read.Complete {
				t.Fatal(err, read)
			}
			a := authenticator(t, s, nil)
			for _, person := range s.People() {
				if person.Disabled {
					continue
				}
				got, err := a.Prove(t.Context(), person.UID, servers.PersonPassword, attributes)
				if err != nil {
					t.Fatal(err)
				}
				if got.Standing != source.Proved || hasher.Hash(got.Record, "") != want[got.Record.Name] {
					t.Errorf("%s: %s %s\n%+v", person.UID, got.Standing, got.Detail, got.Record)
				}
			}
		})
	}
}

func TestWhoIsLedTo(t *testing.T) {
	for _, s := range all {
		t.Run(s.Vendor, func(t *testing.T) {
			t.Parallel()
			for _, uid := range []string{"lead1", "lead2"} {
				if err := s.AddPerson(uid, "Lead", uid, "lead@example.org"); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.SetTitle("lead2", "Not read"); err != nil {
				t.Fatal(err)
			}
			class := "inetOrgPerson"
			if s.Vendor == servers.ActiveDirectory {
				class = "user"
			}
			for _, c := range []struct {
				name, login, password string
				more                  setting.Values
				want                  source.Standing
				right, record         bool
			}{
				{name: "nobody", login: "nobody at all", password: "x", want: source.Nobody},
				{name: "two with one address", login: "lead@example.org", password: servers.PersonPassword, want: source.Several},
				{name: "one of them by login", login: "LEAD1", password: servers.PersonPassword, want: source.Proved, right: true, record: true},
				{name: "one of two is read", login: "lead@example.org", password: servers.PersonPassword, more: setting.Values{"sync.filter": "(&(objectClass=" + class + ")(!(title=Not read)))"},
					want: source.Proved, right: true, record: true},
				{name: "the one who is not read", login: "lead2", password: servers.PersonPassword, more: setting.Values{"sync.filter": "(&(objectClass=" + class + ")(!(title=Not read)))"},
					want: source.NotReadable, right: true},
				{name: "the one who is not read, wrong password", login: "lead2", password: wrongPassword, more: setting.Values{"sync.filter": "(&(objectClass=" + class + ")(!(title=Not read)))"},
					want: source.Wrong},
				{name: "another attribute", login: "Lead lead1", password: servers.PersonPassword, more: setting.Values{"authentication.username_attribute": "displayName"}, want: source.Proved, right: true, record: true},
				{name: "a filter", login: "lead1", password: servers.PersonPassword, more: setting.Values{"authentication.username_filter_template": "(&(objectClass=" + class + ")(cn=Lead %s))"},
					want: source.Proved, right: true, record: true},
				{name: "a star", login: "*", password: servers.PersonPassword, want: source.Nobody},
				{name: "a part and a star", login: "lead*", password: servers.PersonPassword, want: source.Nobody},
				{name: "more of a filter", login: "lead1)(uid=*", password: servers.PersonPassword, want: source.Nobody},
				{name: "more of a filter, in a filter", login: "lead1)(cn=*", password: servers.PersonPassword, more: setting.Values{"authentication.username_filter_template": "(cn=Lead %s)"}, want: source.Nobody},
				{name: "a star, in a filter", login: "*", password: servers.PersonPassword, more: setting.Values{"authentication.username_filter_template": "(cn=Lead %s)"}, want: source.Nobody},
				{name: "a star, escaped", login: `\2a`, password: servers.PersonPassword, want: source.Nobody},
				{name: "a star of another alphabet", login: "＊", password: servers.PersonPassword, want: source.Nobody},
				{name: "a DN", login: "cn=Lead lead1," + s.PeopleBase, password: servers.PersonPassword, want: source.Nobody},
				{name: "the administrator, outside of the base", login: s.AdminDN, password: s.AdminPassword, want: source.Nobody},
			} {
				t.Run(c.name, func(t *testing.T) {
					p, err := authenticator(t, s, c.more).Prove(t.Context(), c.login, c.password, []string{"mail"})
					if err != nil || p.Standing != c.want || p.Right != c.right || (p.Record != nil) != c.record {
						t.Errorf("%+v, %v", p, err)
					}
				})
			}
		})
	}
}
