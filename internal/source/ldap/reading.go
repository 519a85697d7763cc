package ldap

import (
	"errors"
	"fmt"
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

// reading is one pass over a directory.
type reading struct {
	c        *conn
	set      *settings
	dse      *rootDSE
	preset   *preset
	base     string
	anchor   string
	emit     func(*directory.Record) error
	progress func(users, groups int)
	refused  error // by emit; returned as it is

	out     source.Reading
	reasons []string
	seen    map[string]bool // references told of already

	logins  logins
	decoder decoder
	held    []held // entries of this page that wait for the rest of an attribute
	heldMem int
}

func newReading(c *conn, set *settings, d *rootDSE, emit func(*directory.Record) error) (*reading, error) {
	base, err := set.resolveBase(d)
	if err != nil {
		return nil, err
	}
	r := &reading{c: c, set: set, dse: d, preset: d.preset(), base: base, emit: emit, seen: map[string]bool{}}
	r.anchor = set.presetFor(d).Anchor
	r.logins = loginsFor(set.groups)
	return r, nil
}

// people reads the people with the attributes wanted.
func (r *reading) people(wanted []string) error {
	filter := r.set.people
	if filter == nil {
		var err error
		if filter, err = compileFilter("sync.filter", r.preset.people); err != nil {
			return err
		}
	}
	r.decoder = newDecoder(directory.User, r.anchor, wanted, "", nil)
	if r.logins != nil {
		r.decoder.ask(uid, roleLogin)
	}
	return r.search("people", query{base: r.base, scope: r.set.scope, filter: filter})
}

// groups reads the groups. Without their members it is cheap, which is what the
// doctor needs.
func (r *reading) groups(members bool) error {
	g := r.set.groups
	filter, name, base := g.filter, r.preset.name, r.base
	if filter == nil {
		var err error
		if filter, err = compileFilter("groups.filter", r.preset.groups); err != nil {
			return err
		}
	}
	if g.name != "" {
		name = g.name
	}
	if g.hasBase {
		base = g.base
	}
	var from []string
	if members {
		from = r.preset.members
		if g.member != "" {
			from = []string{g.member}
		}
	}
	r.decoder = newDecoder(directory.Group, r.anchor, nil, name, from)
	r.decoder.include = g.include
	return r.search("groups", query{base: base, scope: scopeSub, filter: filter})
}

// search goes through the pages of one search. What it returns as an error
// voids the reading; what only makes it incomplete is noted.
func (r *reading) search(what string, q query) error {
	q.attributes = r.decoder.request()
	if r.dse.has("supportedControl", oidPaging) {
		q.pageSize = r.set.pageSize
	}
	total := 0
	failed := func(err error, more int) error {
		return r.set.explain(fmt.Sprintf("search %q, after %d %s", q.base, total+more, what), err)
	}
	for {
		onPage := 0
		res, err := r.c.ask(&q, func(op cursor) error {
			onPage++
			return r.entry(op)
		}, func(uris []string) { r.reference(uris, q.base) })
		if r.refused != nil {
			return r.refused
		}
		if err != nil {
			return failed(err, onPage)
		}
		total += onPage
		if err := r.completeHeld(); err != nil {
			return err
		}
		switch res.code {
		case 0:
		case codeTimeLimit, codeSizeLimit, codeAdminLimit, codeReferral:
			r.incomplete(limitReason(what, total, res))
			return nil
		default:
			return failed(res.err(), 0)
		}
		switch {
		case q.pageSize == 0:
			return nil
		case !res.paged:
			// Nobody says whether this was all: a short answer was.
			if onPage >= q.pageSize {
				r.incomplete(fmt.Sprintf("the server was asked for pages and did not say whether there is another after %d %s", total, what))
			}
			return nil
		case res.cookie == "":
			return nil
		case res.cookie == q.cookie && onPage == 0:
			return failed(errors.New("the server hands out the same empty page again"), 0)
		}
		q.cookie = res.cookie
	}
}

// entry decodes one entry and hands it on, or keeps it until the rest of it can
// be read.
func (r *reading) entry(op cursor) error {
	rec, parts, err := r.decoder.record(op)
	if err != nil || rec == nil {
		return err
	}
	if rec.Kind == directory.User {
		r.logins.add(r.decoder.logins, rec.Ref)
	}
	if len(parts) > 0 {
		r.hold(rec, parts)
		return nil
	}
	return r.deliver(rec)
}

func (r *reading) deliver(rec *directory.Record) error {
	if rec.Kind == directory.Group {
		r.logins.resolve(rec)
	}
	if r.refused = r.emit(rec); r.refused != nil {
		return r.refused
	}
	if rec.Kind == directory.User {
		r.out.Users++
	} else {
		r.out.Groups++
	}
	if r.progress != nil && (r.out.Users+r.out.Groups)%progressEvery == 0 {
		r.progress(r.out.Users, r.out.Groups)
	}
	return nil
}

func (r *reading) incomplete(reason string) {
	if len(r.reasons) < mostNotes && !slices.Contains(r.reasons, reason) {
		r.reasons = append(r.reasons, reason)
	}
}

// end gives the verdict.
func (r *reading) end() source.Reading {
	if r.progress != nil {
		r.progress(r.out.Users, r.out.Groups)
	}
	r.out.Full = true
	r.out.Complete = len(r.reasons) == 0
	if !r.out.Complete {
		r.out.Reason = r.reasons[0]
		r.out.Notes = append(r.out.Notes, r.reasons[1:]...)
	}
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
	if !under(dn, Refer(base)) || r.preset.vendor == "Active Directory" && housekeeping(dn) {
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
