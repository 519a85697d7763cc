package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
)

const (
	notSignedIn    = "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful bind must be completed on the connection., data 0, v4563\x00"
	noSuchName     = "0000208D: NameErr: DSID-03100245, problem 2001 (NO_OBJECT), data 0, best match of:\n\t''\n\x00"
	badControl     = "00000057: LdapErr: DSID-0C090B0A, comment: Error processing control, data 0, v4563\x00"
	willNotPerform = "00000057: LdapErr: DSID-0C0907C2, comment: Error processing filter, data 0, v4563\x00"
	beyondRange    = "00002082: LdapErr: DSID-0C090B92, comment: Error processing range, data 0, v4563\x00"
	noRights       = "00002098: SecErr: DSID-031514A0, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0\n\x00"
)

func (r *activeDirectory) missing() string { return noSuchName }

// resolve takes <GUID=…> and <SID=…> besides DNs (MS-ADTS 3.1.1.3.1.2.4).
func (r *activeDirectory) resolve(base string) (string, error) {
	inner, ok := strings.CutPrefix(base, "<")
	if !ok || !strings.HasSuffix(inner, ">") {
		return r.common.resolve(base)
	}
	kind, value, _ := strings.Cut(strings.TrimSuffix(inner, ">"), "=")
	var found *tree.Entry
	switch strings.ToUpper(kind) {
	case "GUID":
		if u, ok := parseGUID(value); ok {
			found = r.s.Tree.ByUUID(u)
		}
	case "SID":
		if b, ok := parseSID(value); ok {
			r.s.Tree.Walk("", tree.Sub, 0, func(e *tree.Entry) bool {
				if e.First("objectSid") == b {
					found = e
				}
				return found == nil
			})
		}
	default:
		return "", &tree.Error{Code: wire.InvalidDN, Text: "00002081: NameErr: DSID-03100225, problem 2003 (BAD_ATT_SYNTAX), data 0\x00"}
	}
	if found == nil {
		return "", &tree.Error{Code: wire.NoSuchObject, Text: noSuchName}
	}
	return found.Key, nil
}

// contextOf gives the key of the naming context a key lies in, or "".
func (r *activeDirectory) contextOf(key string) string {
	best := ""
	for _, nc := range r.contexts {
		if tree.Below(key, nc) && len(nc) > len(best) {
			best = nc
		}
	}
	return best
}

// showsDeleted reports whether a search asks for deleted objects and may have them.
func (r *activeDirectory) showsDeleted(s *search) bool {
	_, key := s.c.who()
	return (s.r.Control(wire.OIDShowDeleted) != nil || s.r.Control(wire.OIDShowRecycled) != nil) && slices.Contains(r.readers, key)
}

// visible keeps a search inside its naming context, and deleted objects out of sight.
func (r *activeDirectory) visible(s *search, e *tree.Entry) bool {
	if !r.p.Catalog && r.contextOf(e.Key) != r.contextOf(s.base) {
		return false
	}
	if slices.Contains(r.deleted, e.Key) {
		return s.r.Control(wire.OIDShowDeleted) != nil || s.r.Control(wire.OIDShowRecycled) != nil
	}
	return !e.Buried || r.showsDeleted(s)
}

func (r *activeDirectory) search(s *search) wire.Result {
	if dn, _ := s.c.who(); dn == "" {
		return wire.Result{Code: wire.OperationsError, Text: notSignedIn}
	}
	if s.base == "" && !r.p.Catalog {
		return wire.Result{Code: wire.NoSuchObject, Text: noSuchName}
	}
	if s.base != "" && r.contextOf(s.base) == "" {
		return r.elsewhere(s.q.Base)
	}
	if c := s.r.Control(wire.OIDDirSync); c != nil {
		return r.dirSync(s, c)
	}
	if s.r.Control(wire.OIDNotify) != nil {
		return r.notify(s)
	}
	most := cmp.Or(r.p.MaxPageSize, 1000)
	return s.plain(limits{size: most, page: most, total: 0, ends: func() error { return r.refer(s) }, foreign: func(*search, string) (page, *wire.Result) {
		return page{}, &wire.Result{Code: wire.UnavailableCritical, Text: badControl}
	}})
}

// elsewhere refers to the domain a DN belongs to.
func (r *activeDirectory) elsewhere(base string) wire.Result {
	name := dnsName(base)
	if name == "" {
		return wire.Result{Code: wire.NoSuchObject, Text: noSuchName}
	}
	return wire.Result{Code: wire.Referral, Text: fmt.Sprintf("0000202B: RefErr: DSID-0310082F, data 0, 1 access points\n\tref 1: '%s'\n\x00", name),
		Referrals: []string{"ldap://" + name + "/" + base}}
}

// refer sends the references to naming contexts that begin in the search's scope.
func (r *activeDirectory) refer(s *search) error {
	if s.q.Scope == tree.Base || r.p.Catalog || s.r.Control(wire.OIDDomainScope) != nil {
		return nil
	}
	scheme, tail := "ldap://", ""
	if s.c.secure {
		scheme = "ldaps://"
	}
	if s.q.Scope == tree.One {
		tail = "??base"
	}
	suffix := r.p.suffix()
	all := []struct{ host, dn string }{
		{"ForestDnsZones." + r.dns, "DC=ForestDnsZones," + suffix},
		{"DomainDnsZones." + r.dns, "DC=DomainDnsZones," + suffix},
		{r.dns, "CN=Configuration," + suffix},
		{r.dns, "CN=Schema,CN=Configuration," + suffix},
	}
	for _, dn := range r.p.Children {
		all = append(all, struct{ host, dn string }{dnsName(dn), dn})
	}
	for _, c := range all {
		key := keyOf(c.dn)
		// A context is told of by the one it begins in.
		if !s.q.Scope.In(key, s.base) || key == s.base || r.contextOf(tree.ParentKey(key)) != r.contextOf(s.base) {
			continue
		}
		if err := s.put(wire.Reference(s.id, scheme+c.host+"/"+c.dn+tail), false); err != nil {
			return err
		}
	}
	return nil
}

// notify tells of changes as they happen (MS-ADTS 3.1.1.3.4.1.9). The filter
// must be (objectClass=*).
func (r *activeDirectory) notify(s *search) wire.Result {
	if f := s.q.Filter; f.Op != tree.Present || !strings.EqualFold(f.Attr, "objectClass") {
		return wire.Result{Code: wire.UnwillingToPerform, Text: willNotPerform}
	}
	if missing := s.exists(); missing != nil {
		return *missing
	}
	return s.persist(s.position(), func(c tree.Change) error {
		e := c.Entry()
		if c.Number == 0 || !s.q.Scope.In(e.Key, s.base) || !r.visible(s, e) {
			return nil
		}
		return s.send(e, true)
	})
}

// span is the part of an attribute a client asks for by name;range=low-high.
type span struct {
	attribute string
	low       int
	high      int // -1 is to the end
}

func parseSpan(name string) (span, bool) {
	base, option, ok := strings.Cut(name, ";")
	text, ranged := strings.CutPrefix(strings.ToLower(option), "range=")
	from, to, both := strings.Cut(text, "-")
	low, err := strconv.Atoi(from)
	if !ok || !ranged || !both || err != nil || low < 0 {
		return span{}, false
	}
	if to == "*" {
		return span{base, low, -1}, true
	}
	high, err := strconv.Atoi(to)
	return span{base, low, high}, err == nil && high >= low
}

// refuseEntry ends a search that asks for values beyond the last one of an entry.
func (r *activeDirectory) refuseEntry(s *search, e *tree.Entry) *wire.Result {
	if s.r.Control(wire.OIDRangeNoError) != nil {
		return nil
	}
	for _, name := range s.q.Attributes {
		if p, ok := parseSpan(name); ok && p.low > 0 {
			if n := len(s.view(e).Values(p.attribute)); p.low >= n {
				return &wire.Result{Code: wire.OperationsError, Text: beyondRange}
			}
		}
	}
	return nil
}

// shape cuts what has too many values, and adds the ranges that are asked for
// (MS-ADTS 3.1.1.3.1.3.3).
func (r *activeDirectory) shape(s *search, e *tree.Entry, attributes []tree.Attribute) []tree.Attribute {
	most := cmp.Or(r.p.MaxValRange, 1500)
	var out []tree.Attribute
	for _, a := range attributes {
		if len(a.Values) <= most {
			out = append(out, a)
			continue
		}
		out = append(out, tree.Attribute{Name: a.Name}, tree.Attribute{Name: fmt.Sprintf("%s;range=0-%d", a.Name, most-1), Values: a.Values[:most]})
	}
	for _, name := range s.q.Attributes {
		p, ok := parseSpan(name)
		if !ok || !r.shows(p.attribute) || s.schema.Type(p.attribute).Secret {
			continue
		}
		values := s.view(e).Values(p.attribute)
		if p.low >= len(values) {
			continue
		}
		high := p.high
		if high < 0 || high > p.low+most-1 {
			high = p.low + most - 1
		}
		text := strconv.Itoa(high)
		if high >= len(values)-1 {
			high, text = len(values)-1, "*"
		}
		out = append(out, tree.Attribute{Name: fmt.Sprintf("%s;range=%d-%s", s.schema.Type(p.attribute).Name, p.low, text), Values: values[p.low : high+1]})
	}
	return out
}

// edit lets the administrator write.
func (r *activeDirectory) edit(c *conn, request *wire.Request) wire.Result {
	if _, compares := request.Op.(*wire.Compare); !compares {
		if _, key := c.who(); !r.isAdmin(key) {
			return wire.Result{Code: wire.InsufficientAccess, Text: noRights}
		}
		if r.p.Catalog {
			return wire.Result{Code: wire.UnwillingToPerform, Text: "0000200A: SvcErr: DSID-031A12E0, problem 5003 (WILL_NOT_PERFORM), data 0\n\x00"}
		}
	}
	switch op := request.Op.(type) {
	case *wire.Modify:
		return r.modify(c, request, op)
	case *wire.Add:
		if !c.secure && slices.ContainsFunc(op.Attributes, func(a tree.Attribute) bool { return strings.EqualFold(a.Name, "unicodePwd") }) {
			return wire.Result{Code: wire.UnwillingToPerform, Text: needsTLS}
		}
	case *wire.Delete:
		if request.Control(wire.OIDTreeDelete) != nil {
			return r.deleteTree(op.DN)
		}
	}
	return carryOut(r.s.Tree, request.Op)
}

const needsTLS = "00002077: SvcErr: DSID-031A126C, problem 5003 (WILL_NOT_PERFORM), data 0\n\x00"

// modify changes an entry, or brings a deleted one back: isDeleted goes and
// distinguishedName says where to (MS-ADTS 3.1.1.5.3.7).
func (r *activeDirectory) modify(c *conn, request *wire.Request, op *wire.Modify) wire.Result {
	target := ""
	var mods []tree.Mod
	for _, m := range op.Mods {
		switch strings.ToLower(m.Name) {
		case "unicodepwd":
			if !c.secure {
				return wire.Result{Code: wire.UnwillingToPerform, Text: needsTLS}
			}
			m.Op = tree.ReplaceValues
		case "distinguishedname":
			target = strings.Join(m.Values, "")
			continue
		case "isdeleted":
			continue
		}
		mods = append(mods, m)
	}
	e := r.s.Tree.Find(op.DN)
	if target == "" || e == nil || !e.Buried {
		op.Mods = r.permit(request, e, mods)
		return carryOut(r.s.Tree, op)
	}
	if request.Control(wire.OIDShowDeleted) == nil {
		return wire.Result{Code: wire.NoSuchObject, Text: noSuchName}
	}
	return wire.ResultFor(r.s.Tree.Restore(e.UUID, target, append(mods, unburied(e)...)...))
}

// unburied are the mods that take the marks of a deleted entry away.
func unburied(e *tree.Entry) []tree.Mod {
	var out []tree.Mod
	for _, name := range []string{"isDeleted", "isRecycled", "lastKnownParent", "msDS-LastKnownRDN"} {
		if len(e.Get(name)) > 0 {
			out = append(out, tree.Minus(name))
		}
	}
	return out
}

// permit leaves out what a permissive change need not do (MS-ADTS 3.1.1.3.4.1.8).
func (r *activeDirectory) permit(request *wire.Request, e *tree.Entry, mods []tree.Mod) []tree.Mod {
	if e == nil || request.Control(wire.OIDPermissive) == nil {
		return mods
	}
	var out []tree.Mod
	for _, m := range mods {
		kind := r.s.Tree.Schema().Type(m.Name)
		has := func(v string) bool {
			return slices.ContainsFunc(e.Get(m.Name), func(h string) bool { return kind.Syntax.Equal(h, v) })
		}
		given := len(m.Values)
		switch m.Op {
		case tree.AddValues:
			m.Values = slices.DeleteFunc(slices.Clone(m.Values), has)
		case tree.DeleteValues:
			m.Values = slices.DeleteFunc(slices.Clone(m.Values), func(v string) bool { return !has(v) })
			if given == 0 && len(e.Get(m.Name)) == 0 {
				continue
			}
		case tree.ReplaceValues, tree.Increment:
		}
		if given > 0 && len(m.Values) == 0 && m.Op != tree.ReplaceValues {
			continue
		}
		out = append(out, m)
	}
	return out
}

// deleteTree deletes an entry and all below it, the lowest first.
func (r *activeDirectory) deleteTree(dn string) wire.Result {
	var all []*tree.Entry
	r.s.Tree.Walk(keyOf(dn), tree.Sub, 0, func(e *tree.Entry) bool {
		all = append(all, e)
		return true
	})
	slices.SortStableFunc(all, func(a, b *tree.Entry) int { return strings.Count(b.Key, ",") - strings.Count(a.Key, ",") })
	for _, e := range all {
		if err := r.s.Tree.Delete(e.DN); err != nil {
			return wire.ResultFor(err)
		}
	}
	if len(all) == 0 {
		return wire.Result{Code: wire.NoSuchObject, Text: noSuchName}
	}
	return wire.Result{}
}

// Restore brings a deleted entry back under a DN, with the attributes it has
// lost, as an administrator's tool does.
func (p *ActiveDirectory) Restore(t *tree.Tree, uuid [16]byte, dn string, mods ...tree.Mod) error {
	e := t.ByUUID(uuid)
	if e == nil {
		return &tree.Error{Code: wire.NoSuchObject, Text: noSuchName}
	}
	return t.Restore(uuid, dn, append(unburied(e), mods...)...)
}
