package simulator

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
)

// DS389 behaves as 389 Directory Server 2.3 with the plug-ins MemberOf,
// Referential Integrity, Retro Changelog and Content Synchronization:
//
//   - the ID of an entry in a sync is its nsUniqueId written as a UUID, and not its entryUUID;
//   - a sync never says that deletes are over, sends everything of a changed entry
//     whatever was asked for, says nothing of entries that left the filter, and
//     refuses the cookie of another server, account, base or filter with 4096;
//   - memberOf and references to renamed or deleted entries change with a new modifyTimestamp;
//   - a page cookie of another connection is taken, and begins again.
//
// Zero values are the defaults of an installation.
type DS389 struct {
	Suffix    string  // dc=example,dc=org
	Admin     Account // cn=Directory Manager, password "secret"
	SizeLimit int     // entries anybody but the manager may have of one search: 2000 for 0, no limit for -1
	NoSync    bool    // without the plug-in
	Anonymous bool    // nobody may read, too
}

func (p *DS389) suffix() string { return cmp.Or(p.Suffix, "dc=example,dc=org") }

func (p *DS389) newTree(now func() time.Time, seed uint64) (*tree.Tree, error) {
	t := tree.New(tree.Options{
		Schema: tree.NewSchema(tree.Common, operational).With(
			tree.Type{Name: "nsUniqueId", Operational: true},
			tree.Type{Name: "nsAccountLock", Syntax: tree.Boolean, Operational: true},
		),
		Links: tree.Loud, Echo: "memberof", Suffixes: []string{p.suffix()}, Now: now, Seed: seed,
	})
	return t, organization(t, p.suffix())
}

type ds389 struct {
	common
	p *DS389
	// since is the number of the change the changelog begins behind.
	since atomic.Int64
}

func (p *DS389) begin(s *Server) role {
	r := &ds389{p: p}
	r.s = s
	r.admin = Account{cmp.Or(p.Admin.DN, "cn=Directory Manager"), cmp.Or(p.Admin.Password, "secret")}
	r.oids = []string{wire.OIDManageDSAIT, wire.OIDPersist, wire.OIDPaging}
	r.other = []string{wire.OIDWhoAmI}
	if !p.NoSync {
		r.oids = append(r.oids, wire.OIDSyncRequest)
	}
	r.compute(
		computed{"nsUniqueId", true, func(e *tree.Entry) []string { return []string{nsUniqueID(e.UUID)} }},
		computed{"entryUUID", true, func(e *tree.Entry) []string { return []string{otherUUID(e.UUID)} }},
		computed{"entryDN", true, func(e *tree.Entry) []string { return []string{strings.ToLower(e.DN)} }},
		computed{"createTimestamp", true, func(e *tree.Entry) []string { return []string{tree.FormatTime(e.CreatedAt)} }},
		computed{"modifyTimestamp", true, func(e *tree.Entry) []string { return []string{tree.FormatTime(e.ChangedAt)} }},
		computed{"memberOf", true, func(e *tree.Entry) []string { return allGroups(s.Tree, e) }},
	)
	return r
}

// nsUniqueID writes a UUID in four parts.
func nsUniqueID(u [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x", u[0:4], u[4:8], u[8:12], u[12:16])
}

// otherUUID is a UUID of its own that follows from the first.
func otherUUID(u [16]byte) string {
	sum := sha256.Sum256(u[:])
	return tree.FormatUUID([16]byte(sum[:16]))
}

// allGroups are the groups an entry is in, also through others.
func allGroups(t *tree.Tree, e *tree.Entry) []string {
	var out []string
	for todo := []string{e.Key}; len(todo) > 0; todo = todo[1:] {
		for _, dn := range t.Referring(todo[0], "member") {
			if slices.Contains(out, dn) {
				continue
			}
			out = append(out, dn)
			if key, err := tree.Key(dn); err == nil {
				todo = append(todo, key)
			}
		}
	}
	return out
}

// forget empties the changelog.
func (r *ds389) forget() { r.since.Store(r.s.Tree.Number()) }

func (r *ds389) rootDSE(*conn) []tree.Attribute {
	extensions := r.other
	if r.s.o.TLS != nil {
		extensions = append(slices.Clone(extensions), wire.OIDStartTLS)
	}
	return []tree.Attribute{
		{Name: "objectClass", Values: []string{"top"}},
		{Name: "defaultnamingcontext", Values: []string{r.p.suffix()}},
		{Name: "dataversion", Values: []string{"020261121000000"}},
		{Name: "netscapemdsuffix", Values: []string{"cn=ldap://dc=localhost,dc=localdomain:389"}},
		{Name: "namingContexts", Values: []string{r.p.suffix(), "cn=changelog"}},
		{Name: "supportedControl", Values: r.oids},
		{Name: "supportedExtension", Values: extensions},
		{Name: "supportedLDAPVersion", Values: []string{"2", "3"}},
		{Name: "vendorName", Values: []string{"389 Project"}},
		{Name: "vendorVersion", Values: []string{"389-Directory/2.3.1 B2023.010.0000"}},
		{Name: "changeLog", Values: []string{"cn=changelog"}},
		{Name: "firstchangenumber", Values: []string{strconv.FormatInt(r.since.Load()+1, 10)}},
		{Name: "lastchangenumber", Values: []string{strconv.FormatInt(r.s.Tree.Number(), 10)}},
	}
}

func (r *ds389) rootOperational(name string) bool {
	return strings.HasPrefix(name, "supported") || name == "changeLog" || strings.HasSuffix(name, "changenumber")
}

func (r *ds389) bind(c *conn, b *wire.Bind) wire.Result {
	if e := r.s.Tree.Find(b.Name); e != nil && b.Password != "" && e.Has("nsAccountLock", "TRUE") {
		return wire.Result{Code: wire.UnwillingToPerform, Text: "Account inactivated. Contact system administrator."}
	}
	return r.common.bind(c, b)
}

func (r *ds389) search(s *search) wire.Result {
	if refused := mayRead(s.c, r.p.Anonymous); refused != nil {
		return *refused
	}
	if c := s.r.Control(wire.OIDSyncRequest); c != nil && !r.p.NoSync {
		return r.sync(s, c)
	}
	if c := s.r.Control(wire.OIDPersist); c != nil {
		return r.persistent(s, c)
	}
	l := limits{size: r.sizeLimit(s), foreign: func(s *search, _ string) (page, *wire.Result) {
		return page{query: s.query()}, nil
	}}
	return s.plain(l)
}

func (r *ds389) sizeLimit(s *search) int {
	if _, key := s.c.who(); r.isAdmin(key) {
		return 0
	}
	return max(cmp.Or(r.p.SizeLimit, 2000), 0)
}

// syncCookie is server, account, base, filter and change number.
func (r *ds389) syncCookie(s *search, number int64) string {
	dn, _ := s.c.who()
	return fmt.Sprintf("%s#%s:%s:%s#%d", r.s.Addr(), strings.ToLower(dn), s.q.Base, s.q.Filter, number)
}

// sync answers a sync request (RFC 4533) as the plug-in does.
func (r *ds389) sync(s *search, c *wire.Control) wire.Result {
	mode, cookie, err := c.Sync()
	if err != nil {
		return wire.Result{Code: wire.ProtocolError, Text: "the sync control cannot be read"}
	}
	if missing := s.exists(); missing != nil {
		return *missing
	}
	at, now := s.position(), r.s.Tree.Number()
	result := wire.Result{}
	if cookie == nil || *cookie == "" {
		result, err = r.initial(s)
	} else {
		number, ok := r.readCookie(s, *cookie, now)
		if !ok {
			return wire.Result{Code: wire.SyncRefreshRequired, Text: "Invalid session cookie"}
		}
		err = r.delta(s, number)
	}
	text := r.syncCookie(s, now)
	switch {
	case err != nil, result.Code != wire.Success:
		return result
	case mode != wire.RefreshAndPersist:
		return wire.Result{Controls: []wire.Control{wire.NewSyncDone(text, false)}}
	}
	if s.put(wire.Intermediate(s.id, wire.OIDSyncInfo, wire.SyncInfo(wire.InfoRefreshDelete, text, true)), true) != nil {
		return wire.Result{}
	}
	return s.persist(at, func(c tree.Change) error { return r.tell(s, c) })
}

func (r *ds389) readCookie(s *search, cookie string, now int64) (number int64, ok bool) {
	i := strings.LastIndexByte(cookie, '#')
	if i < 0 {
		return 0, false
	}
	number, err := strconv.ParseInt(cookie[i+1:], 10, 64)
	return number, err == nil && cookie == r.syncCookie(s, number) && number >= r.since.Load() && number <= now
}

func (r *ds389) initial(s *search) (result wire.Result, err error) {
	most := smaller(r.sizeLimit(s), int(s.q.SizeLimit))
	r.s.Tree.Walk(s.base, s.q.Scope, 0, func(e *tree.Entry) bool {
		if !s.matches(e) {
			return true
		}
		if most > 0 && s.sent >= most {
			result.Code = wire.SizeLimitExceeded
			return false
		}
		err = s.sendState(e, wire.StateAdd, "", false)
		return err == nil
	})
	return result, err
}

// delta sends what the changelog tells: deletes by ID, and then what was changed
// and matches. What does not match any more is not mentioned.
func (r *ds389) delta(s *search, number int64) error {
	s.picked = choose([]string{"*", "nsUniqueId"})
	var gone [][16]byte
	var changed []*tree.Entry
	added := map[int64]bool{}
	seen := map[int64]bool{}
	for _, c := range r.s.Tree.Stamped(number) {
		e := c.Entry()
		added[e.ID] = added[e.ID] || c.Kind == tree.Added
		if seen[e.ID] {
			continue
		}
		seen[e.ID] = true
		if now := r.s.Tree.ByUUID(e.UUID); now == nil {
			gone = append(gone, e.UUID)
		} else if s.matches(now) {
			changed = append(changed, now)
		}
	}
	if err := s.sendIDs(true, gone); err != nil {
		return err
	}
	for _, e := range changed {
		state := int64(wire.StateModify)
		if added[e.ID] {
			state = wire.StateAdd
		}
		if err := s.sendState(e, state, "", false); err != nil {
			return err
		}
	}
	return nil
}

// tell reports one change to a client that stays.
func (r *ds389) tell(s *search, c tree.Change) error {
	cookie := r.syncCookie(s, c.Number)
	switch {
	case c.Number == 0:
		return nil
	case c.After != nil && s.matches(c.After):
		state := int64(wire.StateModify)
		if c.Kind == tree.Added {
			state = wire.StateAdd
		}
		return s.sendState(c.After, state, cookie, true)
	case c.Before != nil && s.matches(c.Before) && (c.After == nil || !s.q.Scope.In(c.After.Key, s.base)):
		return s.sendState(c.Before, wire.StateDelete, cookie, true)
	}
	return nil
}

// persistent answers a persistent search (draft-ietf-ldapext-psearch).
func (r *ds389) persistent(s *search, c *wire.Control) wire.Result {
	kinds, changesOnly, returnChanges, err := c.Persist()
	if err != nil {
		return wire.Result{Code: wire.ProtocolError, Text: "the persistent search control cannot be read"}
	}
	if missing := s.exists(); missing != nil {
		return *missing
	}
	at := s.position()
	if !changesOnly {
		r.s.Tree.Walk(s.base, s.q.Scope, 0, func(e *tree.Entry) bool {
			if s.matches(e) {
				err = s.send(e, true)
			}
			return err == nil
		})
	}
	if err != nil {
		return wire.Result{}
	}
	return s.persist(at, func(c tree.Change) error {
		// Seen: a rename shows as a modification.
		kind := map[tree.Kind]int64{tree.Added: wire.ChangeAdd, tree.Deleted: wire.ChangeDelete}[c.Kind]
		if kind == 0 {
			kind = wire.ChangeModify
		}
		e := c.Entry()
		if c.Number == 0 || kinds&kind == 0 || !s.matches(e) {
			return nil
		}
		var controls []wire.Control
		if returnChanges {
			controls = append(controls, wire.NewEntryChange(kind, "", c.Number))
		}
		return s.send(e, true, controls...)
	})
}
