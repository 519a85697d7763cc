package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
)

// OpenLDAP behaves as slapd 2.5 with the overlays syncprov, memberof and refint:
//
//   - memberOf and the references to renamed or deleted entries change without a
//     new entryCSN, and no sync tells of it;
//   - a sync (RFC 4533) sends every changed entry with the state add, deletes by
//     ID from a session log, and names everything that is present where that log
//     does not reach back far enough;
//   - the size limit holds for syncs and over all pages.
//
// Zero values are slapd's defaults.
type OpenLDAP struct {
	Suffix string  // dc=example,dc=org
	Admin  Account // cn=admin below the suffix, password "secret"
	// SizeLimit is how many entries anybody but the administrator may have of one
	// search: 500 for 0, no limit for -1. PagedTotal is the same over all pages of a
	// paged one (size.prtotal): SizeLimit for 0.
	SizeLimit, PagedTotal int
	PageSize              int // the largest page (size.pr); 0 is no limit
	SessionLog            int // changes the session log holds; 100 for 0
	ServerID              int
	NoSync                bool // without syncprov
	Anonymous             bool // nobody may read, too
}

func (p *OpenLDAP) suffix() string { return cmp.Or(p.Suffix, "dc=example,dc=org") }

// operational are the attribute types both OpenLDAP and 389 DS keep for themselves.
var operational = []tree.Type{
	{Name: "entryUUID", Operational: true},
	{Name: "entryCSN", Syntax: tree.Exact, Operational: true},
	{Name: "entryDN", Syntax: tree.Name, Operational: true},
	{Name: "createTimestamp", Syntax: tree.Time, Operational: true},
	{Name: "modifyTimestamp", Syntax: tree.Time, Operational: true},
	{Name: "memberOf", Syntax: tree.Name, Operational: true},
	{Name: "contextCSN", Syntax: tree.Exact, Operational: true},
	{Name: "structuralObjectClass", Operational: true},
	{Name: "pwdAccountLockedTime", Operational: true},
}

func (p *OpenLDAP) newTree(now func() time.Time, seed uint64) (*tree.Tree, error) {
	t := tree.New(tree.Options{
		Schema: tree.NewSchema(tree.Common, operational), Links: tree.Silent, Suffixes: []string{p.suffix()}, Now: now, Seed: seed,
		Settle: settleUUID,
	})
	return t, organization(t, p.suffix())
}

// settleUUID takes the UUID an entry is loaded with.
func settleUUID(before, e *tree.Entry) error {
	text := e.First("entryUUID")
	if text == "" {
		return nil
	}
	id, ok := tree.ParseUUID(text)
	switch {
	case before != nil:
		return &tree.Error{Code: 19, Text: "entryUUID: no user modification allowed"}
	case !ok:
		return &tree.Error{Code: 21, Text: "entryUUID: value #0 invalid per syntax"}
	}
	e.UUID = id
	e.Set("entryUUID")
	return nil
}

// organization makes a suffix with ou=people and ou=groups.
func organization(t *tree.Tree, suffix string) error {
	rdn, err := tree.ParseDN(suffix)
	if err != nil || len(rdn) == 0 {
		return fmt.Errorf("the suffix %q is not a DN", suffix)
	}
	if _, err := t.Add(suffix, "objectClass", "top", "objectClass", "dcObject", "objectClass", "organization", "o", rdn[0][0].Value); err != nil {
		return err
	}
	for _, ou := range []string{"people", "groups"} {
		if _, err := t.Add("ou="+ou+","+suffix, "objectClass", "top", "objectClass", "organizationalUnit"); err != nil {
			return err
		}
	}
	return nil
}

type openLDAP struct {
	common
	p *OpenLDAP
	// since is the number of the change the session log begins behind.
	since atomic.Int64
}

func (p *OpenLDAP) begin(s *Server) role {
	r := &openLDAP{p: p}
	r.s = s
	r.admin = Account{cmp.Or(p.Admin.DN, "cn=admin,"+p.suffix()), cmp.Or(p.Admin.Password, "secret")}
	r.oids = []string{wire.OIDPaging, wire.OIDManageDSAIT}
	r.other = []string{wire.OIDWhoAmI}
	if !p.NoSync {
		r.oids = append(r.oids, wire.OIDSyncRequest)
	}
	r.compute(
		computed{"entryUUID", true, func(e *tree.Entry) []string { return []string{tree.FormatUUID(e.UUID)} }},
		computed{"entryCSN", true, func(e *tree.Entry) []string { return []string{r.csn(e.ChangedAt, e.Changed)} }},
		computed{"entryDN", true, func(e *tree.Entry) []string { return []string{e.DN} }},
		computed{"createTimestamp", true, func(e *tree.Entry) []string { return []string{tree.FormatTime(e.CreatedAt)} }},
		computed{"modifyTimestamp", true, func(e *tree.Entry) []string { return []string{tree.FormatTime(e.ChangedAt)} }},
		computed{"memberOf", true, func(e *tree.Entry) []string { return s.Tree.Referring(e.Key, "member") }},
		computed{"contextCSN", true, func(e *tree.Entry) []string {
			if !slices.Contains([]string{"dc", "o", "ou", "c"}, firstType(e.DN)) || s.Tree.Nearest(e.Key) != "" {
				return nil
			}
			return []string{r.contextCSN()}
		}},
	)
	r.forget()
	return r
}

func firstType(dn string) string {
	rdns, err := tree.ParseDN(dn)
	if err != nil || len(rdns) == 0 {
		return ""
	}
	return rdns[0][0].Type
}

// csn is a change sequence number (draft-ietf-ldup-model): time, count, server, operation.
func (r *openLDAP) csn(at time.Time, number int64) string {
	return fmt.Sprintf("%sZ#%06x#%03x#000000", at.UTC().Format("20060102150405.000000"), number&0xffffff, r.p.ServerID)
}

func (r *openLDAP) contextCSN() string {
	last := r.s.Tree.Last()
	return r.csn(last.At, last.Number)
}

// forget empties the session log, as a restart does.
func (r *openLDAP) forget() { r.since.Store(r.s.Tree.Number()) }

func (r *openLDAP) rootDSE(*conn) []tree.Attribute {
	extensions := r.other
	if r.s.o.TLS != nil {
		extensions = append(slices.Clone(extensions), wire.OIDStartTLS)
	}
	return []tree.Attribute{
		{Name: "objectClass", Values: []string{"top", "OpenLDAProotDSE"}},
		{Name: "structuralObjectClass", Values: []string{"OpenLDAProotDSE"}},
		{Name: "configContext", Values: []string{"cn=config"}},
		{Name: "namingContexts", Values: []string{r.p.suffix()}},
		{Name: "supportedControl", Values: r.oids},
		{Name: "supportedExtension", Values: extensions},
		{Name: "supportedFeatures", Values: []string{"1.3.6.1.1.14", "1.3.6.1.4.1.4203.1.5.1"}},
		{Name: "supportedLDAPVersion", Values: []string{"3"}},
		{Name: "subschemaSubentry", Values: []string{"cn=Subschema"}},
	}
}

func (r *openLDAP) rootOperational(name string) bool { return name != "objectClass" }

func (r *openLDAP) bind(c *conn, b *wire.Bind) wire.Result {
	if e := r.s.Tree.Find(b.Name); e != nil && e.First("pwdAccountLockedTime") != "" && b.Password != "" {
		return wire.Result{Code: wire.InvalidCredentials}
	}
	return r.common.bind(c, b)
}

// mayRead gives what hides the directory from a client, or nil.
func mayRead(c *conn, anonymous bool) *wire.Result {
	if dn, _ := c.who(); dn == "" && !anonymous {
		return &wire.Result{Code: wire.NoSuchObject}
	}
	return nil
}

func (r *openLDAP) sizeLimit(s *search) (plain, paged int) {
	_, key := s.c.who()
	plain = cmp.Or(r.p.SizeLimit, 500)
	paged = cmp.Or(r.p.PagedTotal, plain)
	if r.isAdmin(key) {
		return 0, 0
	}
	return max(plain, 0), max(paged, 0)
}

func (r *openLDAP) search(s *search) wire.Result {
	if refused := mayRead(s.c, r.p.Anonymous); refused != nil {
		return *refused
	}
	if c := s.r.Control(wire.OIDSyncRequest); c != nil && !r.p.NoSync {
		return r.sync(s, c)
	}
	l := limits{page: r.p.PageSize, refuses: true, foreign: func(*search, string) (page, *wire.Result) {
		return page{}, &wire.Result{Code: wire.ProtocolError, Text: "paged results cookie is invalid"}
	}}
	l.size, l.total = r.sizeLimit(s)
	return s.plain(l)
}
