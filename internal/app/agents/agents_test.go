package agents_test

import (
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/source"
)

func TestADirectoryIsReadCheckedAndAskedForPasswordsThroughAnAgent(t *testing.T) {
	databases.Both(t, func(t *testing.T, dsn string) {
		d := directory(t)
		s := begin(t, dsn, "  backend: {agent: {}}\n")
		_, st := s.join("office", backend(d, ""))
		run := s.applied(false)
		if run.Summary.Create != people || !run.Reading.Full || !run.Reading.Complete {
			t.Errorf("the first run: %+v, %+v", run.Summary, run.Reading)
		}
		if n := s.active(); n != people {
			t.Errorf("%d accounts", n)
		}
		// Only changes are read afterwards.
		must(t, d.Modify("dn: uid=u1,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: sn\nsn: Changed\n\ndn: uid=u2,ou=people,dc=example,dc=org\nchangetype: delete\n"))
		run = s.applied(false)
		if run.Reading.Full || run.Summary.Update != 1 || run.Summary.Disable != 1 {
			t.Errorf("the changes: %+v, %+v", run.Summary, run.Reading)
		}
		// Its people sign in with the passwords of the directory.
		if r, err := s.signIn("u3@example.org", password); err != nil || r.Reason != "" || r.Account == nil {
			t.Errorf("the right password: %+v, %v", r, err)
		}
		if r, err := s.signIn("u3@example.org", "another"); err != nil || r.Reason != "invalid_credentials" {
			t.Errorf("a wrong password: %+v, %v", r, err)
		}
		// Who is new in the directory gets an account by signing in.
		must(t, d.Modify(strings.Replace(person(77), "\nobjectClass", "\nchangetype: add\nobjectClass", 1)))
		if r, err := s.signIn("u77@example.org", password); err != nil || r.Reason != "" || r.Account == nil {
			t.Errorf("somebody new: %+v, %v", r, err)
		}
		// The doctor goes through the steps of the agent's own place.
		c, err := s.app.Registry.Connection(t.Context(), "hq")
		must(t, err)
		var steps []string
		ok, err := s.app.Engine.Check(t.Context(), c, func(x source.Step) { steps = append(steps, x.Name+" "+string(x.Verdict)) })
		for _, want := range []string{"policy ok", "agent ok", "bind ok", "reading ok"} {
			if all := strings.Join(steps, ", "); !ok || err != nil || !strings.Contains(all, want) {
				t.Errorf("%s is missing in %s (%v)", want, all, err)
			}
		}
		// What is the agent's stays with it.
		for _, secret := range []string{d.ReaderPassword, password} {
			if strings.Contains(s.log.String(), secret) || strings.Contains(st.log.String(), secret) {
				t.Error("a secret stands in a log")
			}
		}
	})
}
