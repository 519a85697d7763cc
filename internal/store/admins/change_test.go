package admins_test

import (
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
)

func ptr[T any](v T) *T { return &v }

func TestWhatEndsSessions(t *testing.T) {
	for name, c := range map[string]struct {
		do  func(h *house, own *admins.Session) error
		own bool // whether the session it is done from goes on
	}{
		"another password": {func(h *house, x *admins.Session) error {
			return h.ChangePassword(h.Context(), x.Token, password, "another kettle orbit")
		}, true},
		"another role": {func(h *house, x *admins.Session) error {
			_, err := h.Update(h.Context(), console, x.Admin, admins.Patch{Role: ptr(admins.Auditor)})
			return err
		}, false},
		"another organization": {func(h *house, x *admins.Session) error {
			_, err := h.Update(h.Context(), console, x.Admin, admins.Patch{Organization: ptr("moonfix")})
			return err
		}, false},
		"being disabled": {func(h *house, x *admins.Session) error {
			_, err := h.Disable(h.Context(), console, x.Admin)
			return err
		}, false},
		"being deleted":   {func(h *house, x *admins.Session) error { return h.Delete(h.Context(), console, x.Admin) }, false},
		"a second factor": {func(h *house, x *admins.Session) error { h.setUp(x); return nil }, true},
		"a second factor reset by somebody else": {func(h *house, x *admins.Session) error {
			return h.ResetSecondFactor(h.Context(), console, x.Admin)
		}, false},
		"revoking the others": {func(h *house, x *admins.Session) error {
			n, err := h.RevokeOthers(h.Context(), console, x.Admin, x.ID)
			if n != 1 {
				h.Errorf("%d ended", n)
			}
			return err
		}, true},
		"a password by a link": {func(h *house, x *admins.Session) error {
			token, _, err := h.ResetLink(h.Context(), console, x.Admin)
			h.must(err)
			_, err = h.Use(h.Context(), token, admins.Answer{Password: "another kettle orbit"}, home, "")
			return err
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(h *house) {
				h.make("boss@example.com", admins.Operator, "")
				h.make("eve@example.com", admins.Manager, "sunfix")
				other := h.enter("boss@example.com")
				x, y := h.enter("eve@example.com"), h.enter("eve@example.com")
				h.must(c.do(h, x))
				h.good(x.Token, c.own)
				h.good(y.Token, false)
				h.good(other.Token, true)
			})
		})
	}
}

func TestARenamedAdministratorStaysSignedIn(t *testing.T) {
	both(t, func(h *house) {
		h.make("eve@example.com", admins.Operator, "")
		x := h.enter("eve@example.com")
		a := h.good(x.Token, true)
		_, err := h.Update(h.Context(), admins.As(a), a.ID, admins.Patch{Name: ptr(" Eve  <b>")})
		h.must(err)
		if a := h.good(x.Token, true); a.Name != "Eve  <b>" {
			h.Error(a.Name)
		}
		_, err = h.Update(h.Context(), admins.As(a), a.ID, admins.Patch{Name: ptr("a\x00b")})
		h.refused(err, fault.Invalid, "the name")
		one := h.enter("eve@example.com")
		h.must(h.Revoke(h.Context(), admins.As(a), a.ID, one.ID))
		h.good(one.Token, false)
		h.good(x.Token, true)
		h.refused(h.Revoke(h.Context(), admins.As(a), a.ID, one.ID), fault.NotFound, "ended already")
		h.refused(h.Revoke(h.Context(), admins.As(a), a.ID, "\x00"), fault.NotFound, "ended already")
	})
}

func TestTheLastOperatorStays(t *testing.T) {
	both(t, func(h *house) {
		one, two := h.make("one@example.com", admins.Operator, ""), h.make("two@example.com", admins.Operator, "")
		h.make("three@example.com", admins.Manager, "sunfix")
		// Two operators who throw each other out at the same moment.
		done := make(chan error)
		for _, a := range []*admins.Administrator{one, two} {
			node := h.node()
			go func() { _, err := node.Disable(h.Context(), console, a.ID); done <- err }()
		}
		failed := 0
		for range 2 {
			if err := <-done; err != nil {
				failed++
				h.refused(err, fault.Conflict, "the last operator")
			}
		}
		if failed != 1 {
			h.Fatalf("%d of two were refused", failed)
		}
		list, err := h.List(h.Context(), console, "", "", 10)
		h.must(err)
		for _, a := range list {
			if a.Role != admins.Operator || a.Disabled {
				continue
			}
			h.refused(h.Delete(h.Context(), console, a.ID), fault.Conflict, "the last operator")
			_, err = h.Update(h.Context(), console, a.ID, admins.Patch{Role: ptr(admins.Auditor)})
			h.refused(err, fault.Conflict, "the last operator")
			_, err = h.Update(h.Context(), admins.As(a), a.ID, admins.Patch{Role: ptr(admins.Manager), Organization: ptr("sunfix")})
			h.refused(err, fault.Conflict, "the last operator")
		}
		for _, a := range []*admins.Administrator{one, two} {
			_, err := h.Enable(h.Context(), console, a.ID)
			h.must(err)
		}
		h.must(h.Delete(h.Context(), console, one.ID))
	})
}

func TestWhoMayDoWhatToWhom(t *testing.T) {
	both(t, func(h *house) {
		operator := h.make("operator@example.com", admins.Operator, "")
		manager, colleague := h.make("manager@sunfix.com", admins.Manager, "sunfix"), h.make("colleague@sunfix.com", admins.Manager, "sunfix")
		reader := h.make("reader@sunfix.com", admins.Auditor, "sunfix")
		allReader := h.make("reader@example.com", admins.Auditor, "")
		moon := h.make("manager@moonfix.com", admins.Manager, "moonfix")
		all := []*admins.Administrator{operator, manager, colleague, reader, allReader, moon}

		for _, c := range []struct {
			name string
			by   *admins.Administrator
			sees []*admins.Administrator
			may  []*admins.Administrator // manage
		}{
			{"an operator", operator, all, all},
			{"an administrator", manager, []*admins.Administrator{manager, colleague, reader}, []*admins.Administrator{manager, colleague, reader}},
			{"an auditor of an organization", reader, []*admins.Administrator{manager, colleague, reader}, nil},
			{"an auditor of all", allReader, all, nil},
		} {
			by := admins.As(c.by)
			list, err := h.List(h.Context(), by, "", "", 100)
			h.must(err)
			if len(list) != len(c.sees) {
				h.Errorf("%s sees %d", c.name, len(list))
			}
			if list, err := h.List(h.Context(), by, "moonfix", "", 100); err != nil || c.by.Organization != "" && len(list) > 0 {
				h.Errorf("%s sees %d of another organization: %v", c.name, len(list), err)
			}
			has := func(list []*admins.Administrator, a *admins.Administrator) bool {
				for _, b := range list {
					if b.ID == a.ID {
						return true
					}
				}
				return false
			}
			for _, a := range all {
				want := fault.NotFound
				if has(c.sees, a) {
					want = fault.Denied
				}
				if _, err := h.Get(h.Context(), by, a.ID); (err == nil) != has(c.sees, a) {
					h.Errorf("%s looks at %s: %v", c.name, a.Email, err)
				}
				if _, err := h.Sessions(h.Context(), by, a.ID); (err == nil) != has(c.sees, a) {
					h.Errorf("%s looks at the sessions of %s: %v", c.name, a.Email, err)
				}
				if has(c.may, a) {
					continue
				}
				_, err := h.Disable(h.Context(), by, a.ID)
				h.refused(err, want, "")
				h.refused(h.Delete(h.Context(), by, a.ID), want, "")
				_, _, err = h.ResetLink(h.Context(), by, a.ID)
				h.refused(err, want, "")
				h.refused(h.ResetSecondFactor(h.Context(), by, a.ID), want, "")
				_, err = h.Update(h.Context(), by, a.ID, admins.Patch{Role: ptr(admins.Auditor), Organization: ptr(c.by.Organization)})
				if err == nil && a.ID != c.by.ID {
					h.Errorf("%s changes %s", c.name, a.Email)
				}
				if a.ID != c.by.ID {
					if _, err := h.RevokeOthers(h.Context(), by, a.ID, ""); err == nil {
						h.Errorf("%s ends sessions of %s", c.name, a.Email)
					}
				}
			}
		}

		// Nobody raises their own role, nor anybody else's above their own.
		for _, by := range []*admins.Administrator{manager, reader, allReader, moon} {
			_, err := h.Update(h.Context(), admins.As(by), by.ID, admins.Patch{Role: ptr(admins.Operator), Organization: ptr("")})
			h.refused(err, fault.Denied, "")
			_, err = h.Update(h.Context(), admins.As(by), by.ID, admins.Patch{Organization: ptr("moonfix2")})
			h.refused(err, fault.Denied, "")
			for _, spec := range []admins.Spec{{Role: admins.Operator}, {Role: admins.Auditor}, {Role: admins.Manager, Organization: "other"}} {
				spec.Email, spec.Password = "new@example.com", password
				_, err := h.Create(h.Context(), admins.As(by), spec)
				h.refused(err, fault.Denied, "not yours")
				_, _, err = h.Invite(h.Context(), admins.As(by), spec)
				h.refused(err, fault.Denied, "not yours")
			}
		}
		_, err := h.Update(h.Context(), admins.As(reader), reader.ID, admins.Patch{Role: ptr(admins.Manager)})
		h.refused(err, fault.Denied, "raises")
		_, err = h.Update(h.Context(), admins.As(manager), colleague.ID, admins.Patch{Role: ptr(admins.Operator), Organization: ptr("")})
		h.refused(err, fault.Denied, "not yours")
		_, err = h.Update(h.Context(), admins.As(manager), reader.ID, admins.Patch{Role: ptr(admins.Manager)})
		h.must(err)

		// A role is that of the moment: what a page held from before does not count.
		old := admins.As(manager)
		_, err = h.Update(h.Context(), console, manager.ID, admins.Patch{Role: ptr(admins.Auditor)})
		h.must(err)
		_, err = h.Disable(h.Context(), old, colleague.ID)
		h.refused(err, fault.Denied, "not yours")
		h.must(h.Delete(h.Context(), console, manager.ID))
		_, err = h.Disable(h.Context(), old, colleague.ID)
		h.refused(err, fault.Denied, "not signed in")
	})
}

func TestAnOrganizationsEventsAreItsOwn(t *testing.T) {
	both(t, func(h *house) {
		h.make("operator@example.com", admins.Operator, "")
		h.make("manager@sunfix.com", admins.Manager, "sunfix")
		h.enter("operator@example.com")
		h.enter("manager@sunfix.com")
		for _, e := range h.events() {
			if want := map[bool]string{true: "sunfix"}[strings.Contains(string(e.After), "manager@")]; e.Organization != want {
				h.Errorf("%s belongs to %q", e.After, e.Organization)
			}
		}
		if n := h.count(event.AdminSignedIn); n != 2 {
			h.Errorf("%d", n)
		}
	})
}

func TestAnInvitationMakesOnePersonOnce(t *testing.T) {
	both(t, func(h *house) {
		boss := h.make("boss@sunfix.com", admins.Manager, "sunfix")
		by := admins.As(boss)
		spec := admins.Spec{Email: "Kim@Sunfix.com", Name: "Kim", Role: admins.Auditor, Organization: "sunfix"}
		void, _, err := h.Invite(h.Context(), by, spec)
		h.must(err)
		token, l, err := h.Invite(h.Context(), by, spec)
		h.must(err)
		_, err = h.Link(h.Context(), void)
		h.refused(err, fault.NotFound, "not good")
		if l.Kind != admins.Invitation || !l.ExpiresAt.Equal(h.clock.Add(72*time.Hour)) {
			h.Errorf("%+v", l)
		}
		for _, b := range []admins.By{by, console} {
			if list, err := h.Invitations(h.Context(), b); err != nil || len(list) != 1 || list[0].Email != "kim@sunfix.com" {
				h.Errorf("%v, %v", list, err)
			}
		}
		moon := admins.As(h.make("boss@moonfix.com", admins.Manager, "moonfix"))
		if list, err := h.Invitations(h.Context(), moon); err != nil || len(list) != 0 {
			h.Errorf("another organization sees %v, %v", list, err)
		}
		h.refused(h.RevokeInvitation(h.Context(), moon, l.ID), fault.NotFound, "no such invitation")

		done := make(chan error)
		for range 3 {
			node := h.node()
			go func() {
				_, err := node.Use(h.Context(), token, admins.Answer{Email: "mallory@example.com", Password: password}, home, "")
				done <- err
			}()
		}
		in := 0
		for range 3 {
			if err := <-done; err == nil {
				in++
			} else {
				h.refused(err, fault.NotFound, "not good any more")
			}
		}
		a, err := h.Get(h.Context(), by, "kim@sunfix.com")
		h.must(err)
		if in != 1 || a.Role != admins.Auditor || a.Organization != "sunfix" || a.Name != "Kim" {
			h.Errorf("%d got in; %+v", in, a)
		}
		_, _, err = h.Invite(h.Context(), by, spec)
		h.refused(err, fault.Conflict, "belongs to an administrator already")

		// Expired, revoked, and by somebody who may no longer.
		spec.Email = "lee@sunfix.com"
		token, _, err = h.Invite(h.Context(), by, spec)
		h.must(err)
		h.later(72 * time.Hour)
		_, err = h.Use(h.Context(), token, admins.Answer{Password: password}, home, "")
		h.refused(err, fault.NotFound, "not good any more")
		token, l, err = h.Invite(h.Context(), by, spec)
		h.must(err)
		h.must(h.RevokeInvitation(h.Context(), by, l.ID))
		_, err = h.Use(h.Context(), token, admins.Answer{Password: password}, home, "")
		h.refused(err, fault.NotFound, "not good any more")
		token, _, err = h.Invite(h.Context(), by, spec)
		h.must(err)
		_, err = h.Disable(h.Context(), console, boss.ID)
		h.must(err)
		_, err = h.Use(h.Context(), token, admins.Answer{Password: password}, home, "")
		h.refused(err, fault.NotFound, "not good any more")
		for _, bad := range []string{"", "rl_", "rl_" + strings.Repeat("A", 43), "rs_" + token[3:], token + "\x00"} {
			_, err := h.Link(h.Context(), bad)
			h.refused(err, fault.NotFound, "not good")
		}
	})
}

func TestALinkForAForgottenPasswordDoesNotGetAroundTheSecondFactor(t *testing.T) {
	both(t, func(h *house) {
		a := h.make("eve@example.com", admins.Operator, "")
		phone, _ := h.setUp(h.enter("eve@example.com"))
		void, _, err := h.ResetLink(h.Context(), console, a.ID)
		h.must(err)
		token, l, err := h.ResetLink(h.Context(), console, a.ID)
		h.must(err)
		if l.Kind != admins.Reset || !l.ExpiresAt.Equal(h.clock.Add(time.Hour)) {
			h.Errorf("%+v", l)
		}
		_, err = h.Use(h.Context(), void, admins.Answer{Password: "another kettle orbit"}, home, "")
		h.refused(err, fault.NotFound, "not good any more")
		_, err = h.Use(h.Context(), token, admins.Answer{Password: "eve@example.com"}, home, "")
		h.refused(err, fault.Invalid, "e-mail address")
		h.later(time.Minute)
		x, err := h.Use(h.Context(), token, admins.Answer{Password: "another kettle orbit"}, home, "")
		h.must(err)
		if !x.Pending {
			h.Error("the second factor is not asked for")
		}
		h.good(x.Token, false)
		_, err = h.Use(h.Context(), token, admins.Answer{Password: "another kettle orbit"}, home, "")
		h.refused(err, fault.NotFound, "not good any more")
		x, err = h.Complete(h.Context(), x.Token, phone.code(h.clock), home, "")
		h.must(err)
		h.good(x.Token, true)
		_, err = h.SignIn(h.Context(), "eve@example.com", password, "", home, "")
		h.refused(err, fault.Denied, "did not work")
		token, _, err = h.ResetLink(h.Context(), console, a.ID)
		h.must(err)
		h.later(time.Hour)
		_, err = h.Link(h.Context(), token)
		h.refused(err, fault.NotFound, "not good any more")
	})
}
