package samba

import (
	"context"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/rig/host/hosttest"
)

func TestADomainController(t *testing.T) {
	hosttest.Run(t, func(ctx context.Context, dir string) (*hosttest.Started, error) {
		s, err := Start(ctx, Options{Dir: dir})
		if err != nil {
			return nil, err
		}
		return &hosttest.Started{Server: s, Access: s.Access, Dir: s.Dir, Pid: func() int { return s.Pid }}, nil
	})
}

func TestASecondControllerHasWhatItPulled(t *testing.T) {
	first, err := Start(t.Context(), Options{Replicated: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Stop() })
	second, err := first.Join(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Stop() })
	units := func(s *Server) int {
		t.Helper()
		c, err := s.Reader()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r, err := c.Search(ldap.NewSearchRequest(s.Base, ldap.ScopeSingleLevel, ldap.NeverDerefAliases, 0, 0, false, "(ou=late)", nil, nil))
		if err != nil {
			t.Fatal(err)
		}
		return len(r.Entries)
	}
	admin, err := first.Admin()
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	late := ldap.NewAddRequest("OU=late,"+first.Base, nil)
	late.Attribute("objectClass", []string{"organizationalUnit"})
	if err := admin.Add(late); err != nil {
		t.Fatal(err)
	}
	if n := units(second); n != 0 {
		t.Errorf("before it pulls the second controller has %d units", n)
	}
	if err := second.Pull(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if n := units(second); n != 1 {
		t.Errorf("when it has pulled the second controller has %d units", n)
	}
}
