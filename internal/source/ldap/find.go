package ldap

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/source"
)

// mostFound is how many entries one word may lead to.
const mostFound = 5

// names are the attributes somebody may be called by.
var names = []string{"mail", "uid", "cn", "sAMAccountName", "userPrincipalName", "displayName"}

// Find looks for an entry without the filter for people: by DN wherever it
// lies, by external ID and by name below the base and, where nothing is there,
// in all of the naming context the base belongs to. For each entry it asks the
// server which conditions of being read hold.
func (s *ldapSource) Find(ctx context.Context, who string) ([]source.Found, error) {
	if who = strings.TrimSpace(who); who == "" {
		return nil, nil
	}
	c, err := s.set.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	d, err := c.readRoot()
	if err != nil {
		return nil, s.set.explain("read the root DSE", err)
	}
	base, err := s.set.resolveBase(d)
	if err != nil {
		return nil, err
	}
	f := finder{c: c, set: s.set, base: base}
	preset := s.set.presetFor(d)
	entries, err := f.entries(who, preset.Anchor, d.contexts())
	if err != nil {
		return nil, err
	}
	parts, err := filterParts("sync.filter", preset.Filter)
	if err != nil {
		return nil, err
	}
	var out []source.Found
	for _, dn := range entries {
		found, err := f.clauses(dn, parts)
		if err != nil {
			return nil, err
		}
		out = append(out, found)
	}
	return out, nil
}

type finder struct {
	c    *conn
	set  *settings
	base string
}

// entries gives the DNs of what who leads to.
func (f *finder) entries(who, anchor string, contexts []string) ([]string, error) {
	if isDN(who) {
		// A server answers in many ways that it has no such entry, or shows none.
		found, err := f.search(query{base: who, scope: scopeBase, filter: everything}, true)
		if err != nil || len(found) > 0 {
			return found, err
		}
	}
	filter, err := compileFilter("sync.anchor", nameFilter(who, anchor))
	if err != nil {
		return nil, err
	}
	found, err := f.search(query{base: f.base, scope: scopeSub, filter: filter, sizeLimit: mostFound}, false)
	if err != nil || len(found) > 0 {
		return found, err
	}
	for _, context := range contexts {
		if base := Refer(f.base); base == Refer(context) || !under(base, Refer(context)) {
			continue
		}
		if found, err = f.search(query{base: context, scope: scopeSub, filter: filter, sizeLimit: mostFound}, true); err != nil || len(found) > 0 {
			return found, err
		}
	}
	return nil, nil
}

// nameFilter finds an entry by its external ID or any of its names.
func nameFilter(who, anchor string) string {
	value := ldap.EscapeFilter(who)
	var b strings.Builder
	b.WriteString("(|")
	for _, name := range names {
		fmt.Fprintf(&b, "(%s=%s)", name, value)
	}
	if raw := anchorValue(anchor, who); raw != "" {
		fmt.Fprintf(&b, "(%s=%s)", anchor, ldap.EscapeFilter(raw))
	}
	if raw, err := hex.DecodeString(who); err == nil && len(raw) > 0 && !strings.EqualFold(anchor, objectGUID) {
		// The text form of an anchor that is not text.
		fmt.Fprintf(&b, "(%s=%s)", anchor, ldap.EscapeFilter(string(raw)))
	}
	b.WriteByte(')')
	return b.String()
}

// anchorValue is the value of an anchor whose external ID is id, "" if none can
// have it.
func anchorValue(anchor, id string) string {
	if !strings.EqualFold(anchor, objectGUID) {
		return id
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.Trim(id, "{}"), "-", ""))
	if err != nil || len(raw) != 16 {
		return ""
	}
	slices.Reverse(raw[0:4])
	slices.Reverse(raw[4:6])
	slices.Reverse(raw[6:8])
	return string(raw)
}

// search gives the DNs of what a query finds. Where looking is an attempt, a
// server that refuses has found nothing.
func (f *finder) search(q query, attempt bool) ([]string, error) {
	q.attributes = []string{"1.1"} // no attributes (RFC 4511, 4.5.1.8)
	var out []string
	res, err := f.c.ask(&q, func(op cursor) error {
		dn, _, err := entryParts(op)
		if err == nil && len(out) < mostFound {
			out = append(out, strings.Clone(dn))
		}
		return err
	}, func([]string) {})
	if err == nil && res.code != 0 && len(out) == 0 && !attempt {
		err = res.err()
	}
	if err != nil {
		return nil, f.set.explain("search "+quoted(q.base), err)
	}
	return out, nil
}

// clauses says which conditions of being read an entry meets.
func (f *finder) clauses(dn string, parts []filterPart) (source.Found, error) {
	out := source.Found{Name: dn, Clauses: []source.Clause{f.placed(dn)}}
	if !utf8.ValidString(dn) {
		out.Name = clean(dn)
	}
	what := "the filter"
	if len(parts) > 1 {
		what = "the filter part"
	}
	for _, p := range parts {
		clause := source.Clause{Name: "filter"}
		found, err := f.search(query{base: dn, scope: scopeBase, filter: p.compiled}, false)
		var refused *resultError
		switch {
		case errors.As(err, &refused):
			clause.Detail = fmt.Sprintf("the server does not say whether %s %s matches it: %s", what, p.text, refused)
		case err != nil:
			return out, err
		case len(found) > 0:
			clause.Holds, clause.Detail = true, fmt.Sprintf("%s %s matches it", what, p.text)
		default:
			clause.Detail = fmt.Sprintf("%s %s does not match it", what, p.text)
		}
		out.Clauses = append(out.Clauses, clause)
	}
	return out, nil
}

// placed is the clause of base and scope.
func (f *finder) placed(dn string) source.Clause {
	at, base := Refer(dn), Refer(f.base)
	name := "the base " + quoted(f.base)
	c := source.Clause{Name: "base"}
	switch {
	case !under(at, base):
		c.Detail = "it lies outside of " + name
	case f.set.scope == scopeOne && (at == base || parent(at) != base):
		c.Detail = "it is not directly below " + name + ", and scope is one"
	case f.set.scope == scopeBase && at != base:
		c.Detail = "it is not " + name + " itself, and scope is base"
	default:
		c.Holds, c.Detail = true, "it lies below "+name
		if at == base {
			c.Detail = "it is " + name
		}
	}
	return c
}

// filterPart is one of the conditions a filter joins by AND.
type filterPart struct {
	text     string
	compiled []byte
}

// filterParts breaks a filter into what must all hold, through nested ANDs too.
// (&), which is true of everything, is a part itself.
func filterParts(option, text string) ([]filterPart, error) {
	compiled, err := compileFilter(option, text)
	if err != nil {
		return nil, err
	}
	// Each part is compiled again from its own text, which is what is shown.
	p, err := ldap.CompileFilter(bracketed(text))
	if err != nil {
		return nil, fmt.Errorf("ldap: setting %s: %w", option, err)
	}
	if p.Tag != ldap.FilterAnd || len(p.Children) == 0 {
		return []filterPart{{text: readable(bracketed(text)), compiled: compiled}}, nil
	}
	var out []filterPart
	for _, child := range p.Children {
		part, err := ldap.DecompileFilter(child)
		if err != nil {
			return nil, fmt.Errorf("ldap: setting %s: %w", option, err)
		}
		parts, err := filterParts(option, part)
		if err != nil {
			return nil, err
		}
		out = append(out, parts...)
	}
	return out, nil
}

var escapedText = regexp.MustCompile(`(\\[89a-f][0-9a-f])+`)

// readable shows letters that were escaped byte by byte as what they are.
func readable(filter string) string {
	return clean(escapedText.ReplaceAllStringFunc(filter, func(escaped string) string {
		b, err := hex.DecodeString(strings.ReplaceAll(escaped, `\`, ""))
		if err != nil || !utf8.Valid(b) || strings.ContainsFunc(string(b), func(r rune) bool { return !unicode.IsPrint(r) }) {
			return escaped
		}
		return string(b)
	}))
}
