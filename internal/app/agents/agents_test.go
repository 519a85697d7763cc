package agents_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/tunnel"
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

// One person is read alone, somebody who is not read is explained, and a change is told
// of as it happens, also once the agent was gone for a while.
func TestOnePersonIsReadExplainedAndWatchedThroughAnAgent(t *testing.T) {
	d := directory(t)
	s := begin(t, databases.SQLite(t), ownBackend)
	s.join("office", backend(d, ""))
	s.applied(false)
	c, err := s.app.Registry.Connection(t.Context(), "hq")
	must(t, err)
	must(t, d.Modify(strings.Replace(person(77), "\nobjectClass", "\nchangetype: add\nobjectClass", 1)+
		"dn: uid=machine,ou=people,dc=example,dc=org\nchangetype: add\nobjectClass: account\nuid: machine\n"))
	for who, want := range map[string]string{
		"u3@example.org": "In: ",
		"machine":        "uid=machine,ou=people,dc=example,dc=org is there, but the filter (objectClass=inetOrgPerson) does not match it",
		"nobody":         "brought no such entry",
	} {
		why, err := s.api.Why(t.Context(), "hq", who)
		if err != nil || len(why) != 1 || !strings.Contains(why[0].Answer, want) {
			t.Errorf("%s: %+v, %v", who, why, err)
		}
	}
	out, err := s.app.Engine.Sync(t.Context(), c, engine.Options{Who: "u77@example.org", Actor: "test", Trigger: engine.ByPerson})
	if err != nil || out.Run.State != engine.RunApplied || out.Run.Summary.Create != 1 {
		t.Errorf("one person: %+v, %v", out.Run, err)
	}

	told := make(chan engine.Notice, 100)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- s.app.Engine.Watch(ctx, c, engine.WatchOptions{Options: engine.Options{Actor: "test", Trigger: "watch"}, Every: time.Hour, Settle: time.Millisecond, Retry: time.Millisecond, Told: func(n engine.Notice) { told <- n }})
	}()
	until := func(what string, is func(engine.Notice) bool) {
		t.Helper()
		late := time.NewTimer(time.Minute)
		defer late.Stop()
		for {
			select {
			case n := <-told:
				if is(n) {
					return
				}
			case <-late.C:
				t.Fatalf("%s: it does not come about\n%s", what, s.log)
			}
		}
	}
	listens := func(n engine.Notice) bool { return n.Result == nil && n.Listening }
	for i := range 2 {
		until("it listens", listens)
		must(t, d.Modify(fmt.Sprintf("dn: uid=u1,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: sn\nsn: Changed%d\n", i)))
		until("the change is applied", func(n engine.Notice) bool {
			return n.Err == nil && n.Result != nil && n.Result.Run != nil && n.Result.Run.Summary != nil && n.Result.Run.Summary.Update == 1
		})
		if i == 0 {
			s.app.Hub.Each("hq", (*tunnel.Session).Close)
			until("it is told that the agent went", func(n engine.Notice) bool { return n.Result == nil && n.Err != nil })
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A table of people with passwords lies where the agent is. The server keeps their
// hashes, as if it lay there.
func TestATableWithPasswordsIsReadThroughAnAgent(t *testing.T) {
	dir := t.TempDir()
	s := begin(t, "sqlite:"+filepath.Join(dir, "rollcall.db"), ownBackend)
	id, auth := s.enrol("office")
	path, log := file(t, "backend:\n  csv: {path: people.csv}\n"), &journal{}
	table := func(janes string) {
		t.Helper()
		must(t, os.WriteFile(filepath.Join(filepath.Dir(path), "people.csv"), []byte("username,email,first_name,last_name,password\n"+
			"jane,jane@example.org,Jane,Doe,"+janes+"\njohn,john@example.org,John,Doe,john's own word\n"), 0o600))
	}
	table("jane's first word")
	s.run(s.options(auth, path, log), log)
	s.connected(id)
	if run := s.applied(false); run.Summary.Create != 2 {
		t.Errorf("%+v", run.Summary)
	}
	letsIn := func(password string, want bool) {
		t.Helper()
		r, err := s.signIn("jane@example.org", password)
		if err != nil || (r.Account != nil) != want {
			t.Errorf("%q: %+v, %v", password, r, err)
		}
	}
	letsIn("jane's first word", true)
	letsIn("john's own word", false)
	table("jane's second word")
	s.applied(false)
	letsIn("jane's first word", false)
	letsIn("jane's second word", true)
	s.stop()
	text, err := os.ReadFile(filepath.Join(dir, "rollcall.db"))
	must(t, err)
	for _, where := range []string{string(text), s.log.String(), log.String()} {
		if strings.Contains(where, "'s first word") || strings.Contains(where, "'s second word") || strings.Contains(where, "'s own word") {
			t.Error("a password is kept as it is")
		}
	}
}

// What the agent signs in with runs out one day, and the server knows when.
func TestTheEndOfAnAgentsCertificateIsKnown(t *testing.T) {
	d, err := openldap.Start(t.Context(), openldap.Options{ClientCA: true})
	must(t, err)
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	s := begin(t, databases.SQLite(t), ownBackend)
	s.join("office", strings.Replace(backend(d, ""), "    base_dn", fmt.Sprintf("    tls: {start_tls: true, ca_file: %q, cert_file: %q, key_file: %q}\n    base_dn", d.CAFile, d.ClientCert, d.ClientKey), 1))
	c, err := s.app.Registry.Connection(t.Context(), "hq")
	must(t, err)
	r, err := s.app.Hub.Remote(t.Context(), c)
	must(t, err)
	src, err := r.Open()
	must(t, err)
	raw, err := os.ReadFile(d.ClientCert)
	must(t, err)
	block, _ := pem.Decode(raw)
	certificate, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	x, ok := source.As[source.Expirer](src)
	if !ok {
		t.Fatal("it is not asked")
	}
	if list := x.Expires(); len(list) != 1 || list[0].Name != "client certificate" || !list[0].At.Equal(certificate.NotAfter) {
		t.Errorf("%+v", list)
	}
}

// When everything is due to be read is decided by the server's clock. The agent's shows
// what it likes.
func TestTheServersClockDecides(t *testing.T) {
	d := directory(t)
	for _, year := range []int{2001, 2077} {
		s := begin(t, databases.SQLite(t), ownBackend)
		s.join("office", backend(d, ""))
		c, err := s.app.Registry.Connection(t.Context(), "hq")
		must(t, err)
		e, now := *s.app.Engine, time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		e.Now = func() time.Time { return now }
		for _, step := range []struct {
			later       time.Duration
			full, swept bool
		}{{0, true, false}, {time.Hour, false, false}, {25 * time.Hour, false, true}, {time.Hour, false, false}, {169 * time.Hour, true, false}} {
			now = now.Add(step.later)
			out, err := e.Sync(t.Context(), c, engine.Options{Actor: "test", Trigger: "manual"})
			must(t, err)
			if r := out.Run.Reading; out.Run.State != engine.RunApplied || r.Full != step.full || r.Swept != step.swept {
				t.Errorf("in %d, %s later: %s, %+v", year, step.later, out.Run.State, r)
			}
		}
		s.stop()
	}
}
