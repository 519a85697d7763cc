//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/rig/people"
	"rollcall.dev/rollcall/internal/setting"
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
	type pair struct{ ours, floor []attempts }
	results := map[int]*pair{}
	workers := []int{1, 16, 64}
	for round := range 1 + signInRounds {
		for _, n := range workers {
			if results[n] == nil {
				results[n] = &pair{}
			}
			// Each goes first in every other round.
			ways := []func(string) error{floor, ours}
			got := make([]attempts, 2)
			for k := range ways {
				i := (k + round) % 2
				if got[i], err = signInAll(logins, n, ways[i]); err != nil {
					return err
				}
			}
			note("round %d, %2d workers: floor %6.0f/s, rollcall %6.0f/s", round, n, got[0].rate(), got[1].rate())
			if round > 0 { // the first one warms
				results[n].floor, results[n].ours = append(results[n].floor, got[0]), append(results[n].ours, got[1])
			}
		}
	}
	middle := func(list []attempts) attempts {
		slices.SortFunc(list, func(a, b attempts) int { return int(a.wall - b.wall) })
		return list[len(list)/2]
	}
	writeSignIns := func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "# Signing in against a directory of %d people\n\nWritten by `make bench BENCH=\"-signin %d\"` on %s: %s, %d processors, %s. %d sign-ins a round, OpenLDAP on loopback without TLS, the middle of %d rounds. "+
			"The floor is one search and one bind on open connections of go-ldap.\n\n| workers | floor p50 | rollcall p50 | added | ratio | floor p99 | rollcall p99 | floor a second | rollcall a second |\n|---|---|---|---|---|---|---|---|---|\n",
			signInPeople, o.signIns, time.Now().UTC().Format("2 January 2006"), processor(), runtime.NumCPU(), runtime.Version(), o.signIns, signInRounds)
		for _, n := range workers {
			f, x := middle(results[n].floor), middle(results[n].ours)
			ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
			_, _ = fmt.Fprintf(w, "| %d | %.2f ms | %.2f ms | %.2f ms | %.2f | %.2f ms | %.2f ms | %.0f | %.0f |\n", n, ms(f.at(0.5)), ms(x.at(0.5)), ms(x.at(0.5)-f.at(0.5)),
				float64(x.at(0.5))/float64(f.at(0.5)), ms(f.at(0.99)), ms(x.at(0.99)), f.rate(), x.rate())
		}
	}
	writeSignIns(os.Stdout)
	return nil
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
