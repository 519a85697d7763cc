package simulator

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
)

// Domino behaves as the LDAP service of a Domino server, as far as public
// documents tell:
//
//   - the only naming context is the empty DN, written as one NUL byte; people lie
//     below O=…, groups have one RDN and nothing above them;
//   - there are no controls, and so no pages; a critical one is refused with 12;
//   - dominoUNID and dominoAccessGroups are given when asked for by name alone;
//   - there is no attribute for a disabled person, who is a member of a deny list group;
//   - people sign in by DN, short name or address.
type Domino struct {
	// Organization is the O of the directory; Acme where empty.
	Organization string
	Admin        Account // CN=Admin,O=…, password "secret"
	// SizeLimit is the configured maximum number of entries returned; 0 is no limit.
	SizeLimit int
	HCL       bool // says HCL in place of IBM Lotus Software
	Anonymous bool // nobody may read, too
	// DNRequired refuses to sign anybody in but by DN ("DN Required on Bind?").
	DNRequired bool
	// NoUNID is a directory from before Domino 7, which has no dominoUNID.
	NoUNID bool
}

func (p *Domino) organization() string { return "O=" + cmp.Or(p.Organization, "Acme") }

func (p *Domino) newTree(now func() time.Time, seed uint64) (*tree.Tree, error) {
	t := tree.New(tree.Options{
		Schema: tree.NewSchema(tree.Common).With(
			tree.Type{Name: "dominoUNID", Operational: true},
			tree.Type{Name: "dominoAccessGroups", Syntax: tree.Name, Operational: true},
			tree.Type{Name: "createTimestamp", Syntax: tree.Time, Operational: true},
			tree.Type{Name: "modifyTimestamp", Syntax: tree.Time, Operational: true},
		),
		// A group holds names as text: who is renamed or deleted stays in it until an
		// administration process has been there.
		Links: tree.Leave, Orphans: true, Now: now, Seed: seed,
	})
	_, err := t.Add(p.organization(), "objectClass", "top", "objectClass", "organization")
	return t, err
}

type domino struct {
	common
	p *Domino
}

func (p *Domino) begin(s *Server) role {
	r := &domino{p: p}
	r.s = s
	r.admin = Account{cmp.Or(p.Admin.DN, "CN=Admin,"+p.organization()), cmp.Or(p.Admin.Password, "secret")}
	list := []computed{
		{"dominoAccessGroups", true, func(e *tree.Entry) []string { return allGroups(s.Tree, e) }},
		{"createTimestamp", true, func(e *tree.Entry) []string { return []string{tree.FormatTime(e.CreatedAt)} }},
		{"modifyTimestamp", true, func(e *tree.Entry) []string { return []string{tree.FormatTime(e.ChangedAt)} }},
	}
	if !p.NoUNID {
		list = append(list, computed{"dominoUNID", true, func(e *tree.Entry) []string {
			return []string{strings.ToUpper(hex.EncodeToString(e.UUID[:]))}
		}})
	}
	r.compute(list...)
	return r
}

func (r *domino) rootDSE(*conn) []tree.Attribute {
	vendor, version := "IBM Lotus Software", "Release 8.5.3"
	if r.p.HCL {
		vendor, version = "HCL", "Release 12.0.2"
	}
	extensions := []string{"LanguageCodes"}
	if r.s.o.TLS != nil {
		extensions = []string{wire.OIDStartTLS, "LanguageCodes"}
	}
	out := []tree.Attribute{
		{Name: "objectClass", Values: []string{"top"}},
		{Name: "namingcontexts", Values: []string{"\x00"}},
		{Name: "supportedextension", Values: extensions},
		{Name: "supportedsaslmechanisms", Values: []string{"EXTERNAL"}},
		{Name: "supportedldapversion", Values: []string{"2", "3"}},
		{Name: "subschemasubentry", Values: []string{"cn=schema"}},
		{Name: "vendorname", Values: []string{vendor}},
		{Name: "vendorversion", Values: []string{version}},
	}
	if !r.p.NoUNID {
		out = append(out, tree.Attribute{Name: "ibm-enabledCapabilities", Values: []string{"2.16.840.1.113678.2.2.2.2.1354", "2.16.840.1.113678.2.2.2.2.1355"}})
	}
	return out
}

func (r *domino) rootOperational(string) bool { return false }

// bind finds the person by DN, or by what else they are called.
func (r *domino) bind(c *conn, b *wire.Bind) wire.Result {
	if !b.Simple || b.Name == "" || b.Password == "" || strings.Contains(b.Name, "=") {
		return r.common.bind(c, b)
	}
	if r.p.DNRequired {
		return wire.Result{Code: wire.InvalidCredentials}
	}
	var found []*tree.Entry
	r.s.Tree.Walk("", tree.Sub, 0, func(e *tree.Entry) bool {
		for _, name := range []string{"uid", "mail", "cn"} {
			if slices.ContainsFunc(e.Get(name), func(v string) bool { return strings.EqualFold(v, b.Name) }) {
				found = append(found, e)
				break
			}
		}
		return true
	})
	if len(found) != 1 || !slices.Contains(found[0].Get("userPassword"), b.Password) {
		return wire.Result{Code: wire.InvalidCredentials}
	}
	c.signIn(found[0].DN, found[0].Key)
	return wire.Result{}
}

func (r *domino) search(s *search) wire.Result {
	if refused := mayRead(s.c, r.p.Anonymous); refused != nil {
		return *refused
	}
	return s.plain(limits{size: r.p.SizeLimit, noPaging: true})
}

// forget: there is nothing kept.
func (r *domino) forget() {}
