package ldap

import (
	"fmt"
	"hash/maphash"
	"maps"
	"net/url"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/source"
)

// progressEvery is how many records come between two reports of progress.
const progressEvery = 500

// mostNotes is how many reasons and references are kept: a server decides how
// many there are, and after these nobody reads on.
const mostNotes = 50

// half is one of the two searches a reading consists of: people or groups.
type half struct {
	kind    directory.Kind
	what    string  // "people", "groups"
	query   query   // base, scope and filter
	decoder decoder // of whole records
}

// reading is one pass over a directory.
type reading struct {
	c        *conn
	set      *settings
	dse      *rootDSE
	preset   *preset
	base     string
	anchor   string
	wanted   []string
	emit     func(*directory.Record) error
	progress func(users, groups int)
	refused  error // by emit; returned as it is
	known    func(directory.Kind, directory.ExternalID) (bool, error)
	soon     func(directory.Kind, []directory.ExternalID) error

	out     source.Reading
	reasons []string
	seen    map[string]bool // references told of already
	changes bool            // not everything is read
	named   [2]int          // people and groups that were said to be there, and no more

	state     []string // how far the server was when the reading began
	brought   bool     // something else was handed on than names
	newcomers newcomers
	logins    logins
	shared    map[directory.Digest]bool // external IDs that were met; true of those that several entries have
	denied    denied
	inner     inner
	primaries map[string]string // DNs of groups by SID
	stamped   bool              // stamps are looked at
	newest    stamp             // the latest of them
	stampless int               // entries without one
	held      []held            // entries of this page that wait for the rest of an attribute
	heldMem   int
}

func newReading(c *conn, set *settings, d *rootDSE, wanted []string, emit func(*directory.Record) error) (*reading, error) {
	base, err := set.resolveBase(d)
	if err != nil {
		return nil, err
	}
	r := &reading{c: c, set: set, dse: d, preset: d.preset(), base: base, emit: emit, seen: map[string]bool{}, primaries: map[string]string{},
		inner: inner{seed: maphash.MakeSeed(), names: map[uint64]omitted{}, taken: map[directory.Digest]bool{}}}
	r.anchor = set.presetFor(d).Anchor
	r.wanted = slices.DeleteFunc(slices.Clone(wanted), func(a string) bool { return strings.EqualFold(a, deniedAttribute) && r.denies() })
	r.logins = loginsFor(set.groups)
	if c.srv.catalog() {
		r.out.Notes = append(r.out.Notes, catalogNote)
	}
	return r, nil
}

// people is the half of the people, with the attributes wanted.
func (r *reading) people() (*half, error) {
	h := &half{kind: directory.User, what: "people", query: query{base: r.base, scope: r.set.scope, filter: r.set.people}}
	if h.query.filter == nil {
		var err error
		if h.query.filter, err = compileFilter("sync.filter", r.preset.people); err != nil {
			return nil, err
		}
	}
	h.decoder = newDecoder(directory.User, r.anchor, nil, "", nil)
	for _, a := range r.wanted {
		// Everything is never asked for: some servers would hand out password hashes.
		if attributePattern.MatchString(a) {
			h.decoder.want(a, r.preset.typeName(a))
		}
	}
	if r.logins != nil {
		h.decoder.ask(uid, roleLogin)
	}
	if r.preset.primary && (r.set.groups != nil || r.denies()) {
		h.decoder.ask("objectSid", roleSID)
		h.decoder.ask("primaryGroupID", rolePrimary)
	}
	return h, nil
}

// groups is the half of the groups. Without their members it is cheap, which is
// what the doctor needs.
func (r *reading) groups(members bool) (*half, error) {
	g := r.set.groups
	h := &half{kind: directory.Group, what: "groups", query: query{base: r.base, scope: scopeSub, filter: g.filter}}
	if h.query.filter == nil {
		var err error
		if h.query.filter, err = compileFilter("groups.filter", r.preset.groups); err != nil {
			return nil, err
		}
	}
	if g.hasBase {
		h.query.base = g.base
	}
	var from []string
	if members {
		from = r.memberAttributes()
	}
	h.decoder = newDecoder(directory.Group, r.anchor, nil, r.groupName(), from)
	h.decoder.include = g.include
	return h, nil
}

// names is a decoder of what entries of a half are known by alone, and of whether include
// leaves them out.
func (r *reading) names(h *half) decoder {
	d := newDecoder(h.kind, r.anchor, nil, "", nil)
	if h.decoder.include != nil {
		d.include, d.name = h.decoder.include, h.decoder.name
		d.ask(d.name, roleName)
	}
	return d
}

func (r *reading) groupName() string {
	if r.set.groups.name != "" {
		return r.set.groups.name
	}
	return r.preset.name
}

func (r *reading) memberAttributes() []string {
	if r.set.groups != nil && r.set.groups.member != "" {
		return []string{r.set.groups.member}
	}
	return r.preset.members
}

// halves are the searches of this connection, people first.
func (r *reading) halves() ([]*half, error) {
	people, err := r.people()
	if err != nil || r.set.groups == nil {
		return []*half{people}, err
	}
	groups, err := r.groups(true)
	return []*half{people, groups}, err
}

// whole reads a half from one end to the other.
func (r *reading) whole(h *half) error {
	return r.part(h, h.query)
}

// part reads whole records of what a query finds of a half.
func (r *reading) part(h *half, q query) error {
	q.attributes, q.ahead = h.decoder.request(), true
	e, err := r.pages(h.what, q, func(op cursor) error { return r.entry(h, op) }, r.completeHeld)
	if err != nil {
		return err
	}
	if e.entries == 0 && e.whole() {
		if e.result, err = r.placeOf(h.what, q); err != nil {
			return err
		}
	}
	_, err = r.judge(h.what, q, e)
	return err
}

// placeOf asks whether the place is there in which nothing was found: 389 Directory
// Server answers a search in pages below a base that is not there with success.
func (r *reading) placeOf(what string, q query) (result, error) {
	res, err := r.c.ask(&query{base: q.base, scope: scopeBase, filter: everything, attributes: []string{"1.1"}}, func(cursor) error { return nil }, func([]string) {})
	if err != nil {
		return result{}, r.failed(what, q, err, 0)
	}
	if res.code != codeNoSuchObject {
		return result{}, nil
	}
	return res, nil
}

// entry decodes one entry and hands it on, or keeps it until the rest of it can
// be read.
func (r *reading) entry(h *half, op cursor) error {
	d := &h.decoder
	rec, parts, err := d.record(op)
	if err != nil {
		return err
	}
	r.noteStamps(d.stamps)
	if d.excluded {
		if spared, err := r.spare(rec); err != nil || !spared {
			return err
		}
		rec.Kind = directory.Inner
	}
	if rec.Kind == directory.User {
		r.logins.add(d.logins, rec)
	}
	sid := d.primary()
	known := true
	if sid != "" {
		rec.Primary, known = r.primaries[sid]
	}
	if len(parts) > 0 || !known {
		r.hold(rec, parts, sid)
		return nil
	}
	return r.deliver(rec)
}

func (r *reading) deliver(rec *directory.Record) error {
	rec.Ref = r.spelled(rec.Ref)
	if r.shared != nil && r.shared[directory.KeyOf(rec.Kind, rec.ID)] {
		r.disown(rec)
	}
	if rec.Kind == directory.User {
		r.denied.mark(rec)
	} else {
		if r.again(rec) {
			return nil
		}
		r.logins.resolve(rec)
		for i, m := range rec.Members {
			rec.Members[i] = r.spelled(m)
		}
		r.takeMembers(rec)
	}
	if err := r.greet(rec); err != nil {
		return err
	}
	if err := r.hand(rec); err != nil {
		return err
	}
	switch rec.Kind {
	case directory.User:
		r.out.Users++
	case directory.Group:
		r.out.Groups++
	case directory.Inner: // counts for those it lies in
	}
	r.report()
	return nil
}

// spelled is the one spelling of names that the server does not tell apart. Active
// Directory does: CN=A  B beside CN=A B is another entry there.
func (r *reading) spelled(dn string) string {
	if r.preset.vendor == vendorAD || !strings.Contains(dn, "  ") && !strings.Contains(dn, `\ `) && !strings.Contains(dn, `\20`) {
		return dn
	}
	return Alike(Refer(dn))
}

// report tells of progress now and then: what was read, and what was named.
func (r *reading) report() {
	users, groups := r.out.Users+r.named[0], r.out.Groups+r.named[1]
	if r.progress != nil && (users+groups)%progressEvery == 0 {
		r.progress(users, groups)
	}
}

// hand gives a record on. What the receiver says is returned as it is.
func (r *reading) hand(rec *directory.Record) error {
	r.brought = r.brought || !rec.Present
	r.refused = r.emit(rec)
	return r.refused
}

func (r *reading) incomplete(reason string) {
	if len(r.reasons) < mostNotes && !slices.Contains(r.reasons, reason) {
		r.reasons = append(r.reasons, reason)
	}
}

// note adds what a person should know.
func (r *reading) note(text string) {
	if !slices.Contains(r.out.Notes, text) {
		r.out.Notes = append(r.out.Notes, text)
	}
}

// end gives the verdict.
func (r *reading) end() source.Reading {
	if r.progress != nil {
		r.progress(r.out.Users+r.named[0], r.out.Groups+r.named[1])
	}
	r.out.Full = !r.changes
	r.out.Complete = len(r.reasons) == 0
	if !r.out.Complete {
		r.out.Reason = r.reasons[0]
		r.out.Notes = append(r.out.Notes, r.reasons[1:]...)
	}
	r.noteInner()
	r.out.Notes = append(r.out.Notes, slices.Sorted(maps.Keys(r.seen))...)
	return r.out
}

// reference takes down a part of the directory that lies elsewhere. Where it
// belongs to what was asked for, people in it are missing from this reading.
func (r *reading) reference(uris []string, base string) {
	if len(uris) == 0 {
		return
	}
	uri := clean(uris[0])
	if len(r.seen) < mostNotes {
		r.seen["The server refers to "+uri+", which is not followed."] = true
	}
	dn := base
	if u, err := url.Parse(uris[0]); err == nil && strings.Trim(u.Path, "/") != "" {
		dn = strings.TrimPrefix(u.Path, "/")
	}
	dn = Refer(dn)
	if !under(dn, Refer(base)) || r.preset.vendor == vendorAD && housekeeping(dn) {
		return
	}
	r.incomplete(fmt.Sprintf("the part of the directory at %s was not read: it lies on another server; set base_dn to a place that does not hold it, or give it a connection of its own", uri))
}

// housekeeping is true of the partitions each Active Directory forest refers to
// from its root and nobody lives in.
func housekeeping(dn string) bool {
	first, _, _ := strings.Cut(dn, ",")
	return first == "cn=configuration" || first == "cn=schema" || first == "dc=domaindnszones" || first == "dc=forestdnszones"
}
