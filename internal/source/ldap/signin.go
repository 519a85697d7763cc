package ldap

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// A sign-in is a search by the account that reads, which must find one entry, and
// one bind by that entry's name: never on the connection that searches, never a
// second one. A bind that was sent is not sent again, whatever becomes of it, since
// the directory counts wrong passwords.

const (
	mostSearches = 8  // connections at a time; a search is short
	mostBinds    = 32 // and a bind may be slow on purpose: it hashes

	// Nobody has a name or a password as long as that.
	longestLogin    = 1024
	longestPassword = 4096

	searchBuffer = 8 << 10
	bindBuffer   = 1 << 10
	mostBound    = 64 << 10 // the longest answer to a bind
)

// authenticator proves passwords against one directory.
type authenticator struct {
	set      *settings
	now      func() time.Time
	searches *pool
	binds    *pool
	denied   deniedCache

	mu   sync.Mutex
	root *rootDSE // what the directory was taken for
}

func openAuthenticator(v setting.Values, env source.Env) (source.Authenticator, error) {
	set, err := decode(v, env)
	if err != nil {
		return nil, err
	}
	return newAuthenticator(set, time.Now), nil
}

func newAuthenticator(set *settings, now func() time.Time) *authenticator {
	a := &authenticator{set: set, now: now}
	// Deny groups are read as they always are; whoever signs in is not waited for
	// longer than for a sign-in.
	a.denied.begin(set, now)
	quick := *set
	quick.idle = set.patience
	a.set = &quick
	servers := &roll{set: a.set, now: now, bad: map[server]time.Time{}}
	a.searches = newPool(mostSearches, servers, now, a.openSearch)
	a.binds = newPool(mostBinds, servers, now, a.openBind)
	return a
}

// Close ends what is idle. Sign-ins that are under way come to their end.
func (a *authenticator) Close() error {
	a.searches.close()
	a.binds.close()
	a.denied.close()
	return nil
}

// openSearch opens a connection of the account that reads.
func (a *authenticator) openSearch(ctx context.Context, srv server) (*seat, error) {
	c, err := a.set.reach(ctx, srv)
	if err != nil {
		return nil, err
	}
	s := &seat{conn: c}
	if err = a.set.signIn(c, srv); err == nil {
		if s.root, err = c.readRoot(); err != nil {
			err = a.set.explain("read the root DSE", err)
		} else {
			err = a.recognise(s.root)
		}
	}
	if err != nil {
		c.drop()
		return nil, err
	}
	c.narrow(searchBuffer, maxFrame)
	return s, nil
}

func (a *authenticator) openBind(ctx context.Context, srv server) (*seat, error) {
	c, err := a.set.reach(ctx, srv)
	if err != nil {
		return nil, err
	}
	c.narrow(bindBuffer, mostBound)
	return &seat{conn: c}, nil
}

// recognise makes sure that a server is of the kind the others are. With another
// external ID somebody would be somebody else.
func (a *authenticator) recognise(d *rootDSE) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.root == nil || len(a.root.attributes) == 0 {
		a.root = d
		return nil
	}
	return a.set.same(a.set.presetFor(a.root), d)
}

// Prove tries a password.
func (a *authenticator) Prove(ctx context.Context, login, password string, attributes []string) (source.Proof, error) {
	if why := unfit(login, password); why != "" {
		return source.Proof{}, fault.New(fault.Invalid, "ldap: sign somebody in: %s", why)
	}
	return a.within(ctx, func(ctx context.Context) (source.Proof, error) { return a.prove(ctx, login, password, attributes) })
}

// Find looks for somebody whom another has vouched for.
func (a *authenticator) Find(ctx context.Context, login string, attributes []string) (source.Proof, error) {
	if why := unfit(login, "not asked for"); why != "" {
		return source.Proof{}, fault.New(fault.Invalid, "ldap: look for who signs in: %s", why)
	}
	return a.within(ctx, func(ctx context.Context) (source.Proof, error) {
		f, err := a.find(ctx, login, attributes)
		if err != nil {
			return source.Proof{}, err
		}
		p := source.Proof{Detail: f.detail, Name: clean(f.dn), Record: f.record}
		switch {
		case f.people > 1:
			p.Standing = source.Several
		case f.dn == "":
			p.Standing = source.Nobody
		case f.people == 0:
			p.Standing, p.Right = source.NotReadable, true
		default:
			p.Standing, p.Right = source.Proved, true
		}
		return p, nil
	})
}

// within keeps to the time a sign-in may take.
func (a *authenticator) within(ctx context.Context, fn func(context.Context) (source.Proof, error)) (source.Proof, error) {
	slow := fmt.Errorf("the directory did not answer within %s", a.set.patience)
	until := time.Now().Add(a.set.patience)
	ctx, cancel := context.WithDeadlineCause(ctx, until, slow)
	defer cancel()
	p, err := fn(ctx)
	// The network may notice the end of the time before the context does.
	if err != nil && (errors.Is(context.Cause(ctx), slow) || ctx.Err() == nil && !time.Now().Before(until)) {
		return source.Proof{}, fault.New(fault.Unavailable, "ldap: sign somebody in: %w%w", slow, silentError{err}).
			WithHint("The directory or the way to it is slow. If it only needs longer, raise authentication.timeout.")
	}
	return p, err
}

// unfit says why something cannot be a login and a password, before anything of it
// is sent. An empty password would be let in by many servers, as nobody (RFC 4513,
// 5.1.2).
func unfit(login, password string) string {
	switch {
	case login == "":
		return "there is no name"
	case password == "":
		return "there is no password"
	case strings.ContainsRune(login, 0), strings.ContainsRune(password, 0):
		return "name or password hold a NUL"
	case !utf8.ValidString(login):
		return "the name is not text"
	case len(login) > longestLogin, len(password) > longestPassword:
		return "name or password are too long"
	}
	return ""
}

func (a *authenticator) prove(ctx context.Context, login, password string, attributes []string) (source.Proof, error) {
	f, err := a.find(ctx, login, attributes)
	if err != nil {
		return source.Proof{}, err
	}
	proof := source.Proof{Standing: source.Nobody, Detail: f.detail}
	if f.people > 1 {
		proof.Standing = source.Several
	}
	if f.dn == "" {
		return proof, a.idle(ctx, f)
	}
	proof.Name = clean(f.dn)
	v, err := a.try(ctx, f, f.dn, password)
	if err != nil {
		return source.Proof{}, err
	}
	proof.Standing, proof.Right, proof.Detail = v.standing, v.right, v.detail
	if f.people == 0 {
		if v.right {
			proof.Standing = source.NotReadable
		}
		return proof, nil
	}
	proof.Record = f.record
	return proof, nil
}

// lead is what a login leads to.
type lead struct {
	at     server
	root   *rootDSE
	base   string
	people int    // entries among the people read
	dn     string // the one entry's, as the server wrote it; "" where there is none, or more
	record *directory.Record
	detail string
}

// find looks for who signs in. What goes wrong on a connection from before may be
// because of it, and is tried on a new one.
func (a *authenticator) find(ctx context.Context, login string, attributes []string) (*lead, error) {
	denied, err := a.denied.get(ctx)
	if err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		s, err := a.searches.take(ctx, nil, tries > 0)
		if err != nil {
			return nil, err
		}
		f, err := a.set.findLogin(s, login, attributes, denied)
		a.searches.give(s, err == nil)
		if err == nil {
			return f, nil
		}
		if s.fresh && !errors.Is(context.Cause(ctx), context.Canceled) && tryNext(err) {
			a.searches.servers.failed(s.srv)
		}
		if ctx.Err() != nil || tries == 2 || s.fresh && (!tryNext(err) || a.searches.servers.alone()) {
			return nil, err
		}
	}
}

// errMany ends a search that found more than one may be led to.
var errMany = errors.New("the login leads to several entries")

// findLogin searches among the people, and where nobody is there among all entries.
func (s *settings) findLogin(at *seat, login string, attributes []string, who denied) (*lead, error) {
	f := &lead{at: at.srv, root: at.root}
	r, err := newReading(at.conn, s, at.root, attributes, func(rec *directory.Record) error {
		kept := keep(rec)
		f.record = &kept
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.denied = who
	f.base = r.base
	h, err := r.people()
	if err != nil {
		return nil, err
	}
	filter := s.loginFilter(r.preset).of(login)
	q := h.query
	q.filter, q.attributes = combine(filterAnd, q.filter, filter), h.decoder.request()
	dns, err := r.few(q, func(op cursor) error { return r.entry(h, op) })
	if err != nil {
		return nil, err
	}
	f.people = len(dns)
	if len(r.reasons) > 0 {
		f.detail = r.reasons[0]
	}
	switch {
	case f.people > 1:
		f.record = nil
		f.detail = "more than one entry matches " + s.loginText(r.preset)
		return f, nil
	case f.people == 1:
		f.dn = dns[0]
		if err := r.complete(); err != nil {
			return nil, err
		}
		return f, r.alone(h, f.record)
	}
	q.filter, q.attributes = filter, []string{"1.1"}
	if dns, err = r.few(q, func(cursor) error { return nil }); err != nil {
		return nil, err
	}
	switch {
	case len(dns) == 1:
		f.dn = dns[0]
	case len(dns) > 1:
		f.detail = "the login leads to several entries, none of which is among those read"
	case f.detail == "":
		f.detail = "no entry matches " + s.loginText(r.preset)
	}
	return f, nil
}

// complete reads the rest of the record, where the server kept something back.
func (r *reading) complete() error {
	before := len(r.reasons)
	if err := r.completeHeld(); err != nil {
		return err
	}
	if len(r.reasons) > before {
		return fault.New(fault.Unavailable, "ldap: read the entry of who signs in: %s", r.reasons[before])
	}
	return nil
}

// few makes a search that may find one entry, and gives the DNs of up to two.
func (r *reading) few(q query, entry func(op cursor) error) ([]string, error) {
	q.sizeLimit = 2
	var dns []string
	res, err := r.c.ask(&q, func(op cursor) error {
		// Some servers know no limit.
		if len(dns) == 2 {
			return errMany
		}
		dn, _, err := entryParts(op)
		if err != nil {
			return err
		}
		dns = append(dns, dn)
		return entry(op)
	}, func(uris []string) { r.reference(uris, q.base) })
	const doing = "look for who signs in"
	switch {
	case errors.Is(err, errMany):
		return dns, nil
	case err != nil:
		return nil, r.set.explain(doing, err)
	case res.code != 0 && (res.code != codeSizeLimit || len(dns) < 2):
		return nil, r.set.explain(doing, res.err())
	case len(dns) == 1 && dns[0] == "":
		// A bind without a name would be let in.
		return nil, fault.New(fault.Unavailable, "ldap: %s: the server gives an entry without a name", doing)
	}
	return dns, nil
}

// try makes the one bind. A connection that ended before the request was written
// whole is replaced once: the server cannot have carried out what it has not got.
func (a *authenticator) try(ctx context.Context, f *lead, dn, password string) (verdict, error) {
	if dn == "" || password == "" {
		return verdict{}, fault.New(fault.Internal, "ldap: try a password: there is no name or no password")
	}
	var controls []control
	if f.root.has("supportedControl", oidPasswordPolicy) {
		controls = append(controls, control{oid: oidPasswordPolicy})
	}
	for anew := false; ; anew = true {
		s, err := a.binds.take(ctx, &f.at, anew)
		if err != nil {
			return verdict{}, err
		}
		doing := "try a password on " + s.srv.String()
		if err := s.sendBind(dn, password, controls...); err != nil {
			a.binds.give(s, false)
			if s.fresh || ctx.Err() != nil {
				return verdict{}, a.set.explain(doing, err)
			}
			continue
		}
		r, err := s.bound()
		var p policy
		if err == nil {
			p, err = decodePolicy(r.controls)
		}
		if err != nil {
			a.binds.give(s, false)
			return verdict{}, a.set.explain(doing, err)
		}
		v, err := a.set.judge(s.srv, r, p)
		a.binds.give(s, err == nil)
		return v, err
	}
}

// idle does the work of a bind for somebody who is not there, so that it takes as
// long: by a name that nobody has, and not with what was typed.
func (a *authenticator) idle(ctx context.Context, f *lead) error {
	dn := "cn=" + rand.Text()
	if f.base != "" {
		dn += "," + f.base
	}
	_, err := a.try(ctx, f, dn, rand.Text())
	if fault.KindOf(err) == fault.Unavailable {
		return err
	}
	return nil // what the server thinks of such a name does not matter
}
