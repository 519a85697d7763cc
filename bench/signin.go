//go:build unix

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/rig/people"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/signin"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/ldap"
)

const (
	signInPeople   = 10_000
	signInPassword = "Rollcall-bench-1"
	signInRounds   = 3
)

// attempts is what one way of signing in took, in a round with so many workers.
type attempts struct {
	took []time.Duration
	wall time.Duration
}

func (a attempts) at(share float64) time.Duration {
	return a.took[min(len(a.took)-1, int(share*float64(len(a.took))))]
}

func (a attempts) rate() float64 { return float64(len(a.took)) / a.wall.Seconds() }

// measureSignIns measures what a sign-in adds to what it cannot do without: one
// search and one bind on connections that are open already, by the usual library.
func measureSignIns(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "rollcall-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ldif := filepath.Join(dir, "people.ldif")
	if _, err := writeDirectory(ldif, people.Options{People: signInPeople, Groups: 10, Seed: o.seed}); err != nil {
		return err
	}
	note("%d people: loading", signInPeople)
	server, err := openldap.Start(ctx, openldap.Options{LDIF: ldif})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	logins, err := givePasswords(server, o.signIns)
	if err != nil {
		return err
	}
	a, err := ldap.Kind.Authenticator(setting.Values{"addr": []string{server.URL}, "bind_dn": server.ReaderDN, "bind_password": server.ReaderPassword, "base_dn": server.Suffix}, source.Env{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	b, err := openBare(server, 64)
	if err != nil {
		return err
	}
	defer b.close()
	attributes := []string{"mail", "givenName", "sn", "uid", "displayName", "title", "telephoneNumber"}
	ours := func(login string) error {
		p, err := a.Prove(ctx, login, signInPassword, attributes)
		if err == nil && p.Standing != source.Proved {
			err = fmt.Errorf("%s: %s %s", login, p.Standing, p.Detail)
		}
		return err
	}
	floor := func(login string) error { return b.signIn(login, server.Suffix, attributes) }
	whole, door, done, err := wholeSignIn(ctx, dir, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	checked := func(login string) error {
		p, err := a.Prove(ctx, login, signInPassword, door.Attributes())
		if err == nil && p.Standing != source.Proved {
			err = fmt.Errorf("%s: %s %s", login, p.Standing, p.Detail)
		}
		if err != nil {
			return err
		}
		admission, err := door.Admit(ctx, p.Record, "bench")
		if err == nil && (admission.Account == nil || admission.Run != "") {
			err = fmt.Errorf("%s: %+v", login, admission)
		}
		return err
	}
	ways := []way{{"floor", floor}, {"search and bind", ours}, {"and just-in-time check", checked}, {"and limits and event", whole}}
	results := map[int][][]attempts{}
	workers := []int{1, 16, 64}
	for round := range 1 + signInRounds {
		for _, n := range workers {
			if results[n] == nil {
				results[n] = make([][]attempts, len(ways))
			}
			words := ""
			for k := range ways { // each goes first in turn
				i := (k + round) % len(ways)
				got, err := signInAll(logins, n, ways[i].signIn)
				if err != nil {
					return err
				}
				words += fmt.Sprintf(", %s %.0f/s", ways[i].name, got.rate())
				if round > 0 { // the first one warms
					results[n][i] = append(results[n][i], got)
				}
			}
			note("round %d, %2d workers%s", round, n, words)
		}
	}
	few := logins[:min(len(logins), 300)]
	var beside [3]attempts // alone, beside a flood of wrong passwords, beside a directory that does not answer
	for i, others := range []func(w, n int) string{nil,
		func(w, n int) string { return fmt.Sprintf("%s%d-%d", wrong, w, n) },
		func(w, n int) string { return fmt.Sprintf("%s%d-%d", away, w, n) }} {
		if beside[i], err = besides(ctx, whole, few, others); err != nil {
			return err
		}
	}
	return writeSignIns(os.Stdout, o, ways, workers, results, beside)
}

// way is one way of signing in.
type way struct {
	name   string
	signIn func(login string) error
}

func writeSignIns(to io.Writer, o options, ways []way, workers []int, results map[int][][]attempts, beside [3]attempts) error {
	middle := func(list []attempts) attempts {
		slices.SortFunc(list, func(a, b attempts) int { return int(a.wall - b.wall) })
		return list[len(list)/2]
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	var w strings.Builder
	fmt.Fprintf(&w, "# Signing in against a directory of %d people\n\nWritten by `make bench BENCH=\"-signin %d\"` on %s: %s, %d processors, %s. %d sign-ins a round, OpenLDAP on loopback without TLS, the middle of %d rounds. "+
		"The floor is one search and one bind on open connections of go-ldap. Each way does what the one above it does, on SQLite: the check looks whether the person and their account are as they were; limits count the try before it, and the event is written after.\n\n"+
		"| at once | way | p50 | added | p99 | a second | of the floor |\n|---|---|---|---|---|---|---|\n",
		signInPeople, o.signIns, time.Now().UTC().Format("2 January 2006"), processor(), runtime.NumCPU(), runtime.Version(), o.signIns, signInRounds)
	for _, n := range workers {
		floor := middle(results[n][0])
		for i, way := range ways {
			x := middle(results[n][i])
			fmt.Fprintf(&w, "| %d | %s | %.2f ms | %.2f ms | %.2f ms | %.0f | %.2f |\n", n, way.name, ms(x.at(0.5)), ms(x.at(0.5)-floor.at(0.5)), ms(x.at(0.99)), x.rate(), x.rate()/floor.rate())
		}
	}
	fmt.Fprintf(&w, "\nOne person after the other signs in, and beside that | p50 | p99\n|---|---|---|\n")
	for i, what := range []string{"nobody else", fmt.Sprintf("%d strangers try wrong passwords without a pause", strangers), fmt.Sprintf("%d people want in by another connection, whose directory does not answer", strangers)} {
		fmt.Fprintf(&w, "| %s | %.2f ms | %.2f ms |\n", what, ms(beside[i].at(0.5)), ms(beside[i].at(0.99)))
	}
	_, err := io.WriteString(to, w.String())
	return err
}

// wholeSignIn is an installation that has read the directory, and signs people in as
// the API does; and the door of its connection.
func wholeSignIn(ctx context.Context, dir string, s *openldap.Server) (signIn func(login string) error, door *engine.Door, done func() error, err error) {
	path := filepath.Join(dir, "rollcall.yaml")
	// It takes connections, and says nothing.
	silent, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, nil, err
	}
	const backend = "backend: {ldap: {addr: %q, bind_dn: %q, bind_password: %q, base_dn: %q}}}\n"
	text := fmt.Sprintf("organizations: [{id: sample, name: Sample}]\nconnections:\n  - {alias: hq, organization: sample, "+backend+"  - {alias: silent, organization: sample, "+backend,
		s.URL, s.ReaderDN, s.ReaderPassword, s.Suffix, "ldap://"+silent.Addr().String(), s.ReaderDN, s.ReaderPassword, s.Suffix)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, nil, nil, err
	}
	a, err := app.Open(ctx, path, func(string) (string, bool) { return "", false })
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := a.Registry.Connection(ctx, "hq")
	if err == nil {
		_, err = a.Engine.Sync(ctx, c, engine.Options{Actor: "bench", Trigger: "manual"})
	}
	if err == nil {
		door, err = a.Engine.Door(ctx, c)
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, a.Close())
	}
	return func(login string) error {
		to := "hq"
		if strings.HasPrefix(login, away) {
			to = "silent"
		}
		r, err := a.SignIn.Authenticate(ctx, signin.Attempt{Connection: to, Login: login, Password: passwordOf(login), From: addressOf(login), Via: "api"})
		if err == nil && r.Account == nil && !strings.ContainsAny(login[:1], wrong+away) {
			err = fmt.Errorf("%s is not let in: %+v", login, r)
		}
		return err
	}, door, func() error { return errors.Join(a.Close(), silent.Close()) }, nil
}

// wrong before a login has somebody try a wrong password for it, and away has them
// try it where the directory does not answer.
const (
	wrong = "!"
	away  = "?"
)

func passwordOf(login string) string {
	if strings.ContainsAny(login[:1], wrong+away) {
		return "not the password"
	}
	return signInPassword
}

// addressOf gives everybody an address of their own: strangers come from as many.
func addressOf(login string) netip.Addr {
	sum := sha256.Sum256([]byte(login))
	return netip.AddrFrom4([4]byte{10, sum[0], sum[1], sum[2]})
}

const strangers = 64

// besides measures somebody who signs in while others do as well, who never come in;
// others says what they type.
func besides(ctx context.Context, signIn func(login string) error, logins []string, others func(w, n int) string) (attempts, error) {
	crowd, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	errs := make([]error, strangers)
	for w := range strangers {
		if others == nil {
			break
		}
		all.Go(func() {
			for n := 0; crowd.Err() == nil && errs[w] == nil; n++ {
				errs[w] = signIn(others(w, n))
			}
		})
	}
	got, err := signInAll(logins, 1, signIn)
	stop()
	all.Wait()
	return got, errors.Join(err, errors.Join(errs...))
}

// givePasswords gives some people a password, and their logins.
func givePasswords(s *openldap.Server, n int) ([]string, error) {
	c, err := goldap.DialURL(s.URL)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Bind(s.AdminDN, s.AdminPassword); err != nil {
		return nil, err
	}
	r, err := c.Search(goldap.NewSearchRequest(s.Suffix, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 0, 0, false, "(&(objectClass=inetOrgPerson)(uid=*))", []string{"uid"}, nil))
	if err != nil {
		return nil, err
	}
	note("%d passwords", min(n, len(r.Entries)))
	var logins []string
	for _, e := range r.Entries[:min(n, len(r.Entries))] {
		m := goldap.NewModifyRequest(e.DN, nil)
		m.Replace("userPassword", []string{signInPassword})
		if err := c.Modify(m); err != nil {
			return nil, err
		}
		logins = append(logins, e.GetAttributeValue("uid"))
	}
	for len(logins) > 0 && len(logins) < n {
		logins = append(logins, logins[:min(len(logins), n-len(logins))]...)
	}
	return logins, nil
}

// signInAll signs everybody in, so many at a time.
func signInAll(logins []string, workers int, signIn func(login string) error) (attempts, error) {
	a := attempts{took: make([]time.Duration, len(logins))}
	var next atomic.Int64
	errs := make([]error, workers)
	var all sync.WaitGroup
	start := time.Now()
	for w := range workers {
		all.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(logins) {
					return
				}
				begun := time.Now()
				if errs[w] = signIn(logins[i]); errs[w] != nil {
					return
				}
				a.took[i] = time.Since(begun)
			}
		})
	}
	all.Wait()
	a.wall = time.Since(start)
	slices.Sort(a.took)
	return a, errors.Join(errs...)
}

// bare is the floor: open connections of the usual library, without any care.
type bare struct{ search, bind chan *goldap.Conn }

func openBare(s *openldap.Server, most int) (*bare, error) {
	b := &bare{make(chan *goldap.Conn, 8), make(chan *goldap.Conn, most)}
	for range cap(b.search) {
		c, err := goldap.DialURL(s.URL)
		if err != nil {
			return nil, err
		}
		if err := c.Bind(s.ReaderDN, s.ReaderPassword); err != nil {
			return nil, err
		}
		b.search <- c
	}
	for range cap(b.bind) {
		c, err := goldap.DialURL(s.URL)
		if err != nil {
			return nil, err
		}
		b.bind <- c
	}
	return b, nil
}

func (b *bare) close() {
	for range cap(b.search) {
		_ = (<-b.search).Close() // nothing is left to tell
	}
	for range cap(b.bind) {
		_ = (<-b.bind).Close()
	}
}

func (b *bare) signIn(login, base string, attributes []string) error {
	c := <-b.search
	r, err := c.Search(goldap.NewSearchRequest(base, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 2, 0, false,
		"(&(objectClass=inetOrgPerson)(|(uid="+goldap.EscapeFilter(login)+")(mail="+goldap.EscapeFilter(login)+")))", attributes, nil))
	b.search <- c
	if err != nil || len(r.Entries) != 1 {
		return fmt.Errorf("%s: %d entries, %w", login, len(r.Entries), err)
	}
	c = <-b.bind
	defer func() { b.bind <- c }()
	return c.Bind(r.Entries[0].DN, signInPassword)
}
