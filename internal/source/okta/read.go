package okta

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/source"
)

// How a reading was done.
const (
	methodFull    = "full"
	methodUpdated = "last-updated"
)

// progressEvery is how many records come between two reports of progress.
const progressEvery = 500

// mostNotes is how many reasons and notes are kept.
const mostNotes = 50

// pass is one reading.
type pass struct {
	set    *settings
	api    *api
	ctx    context.Context
	req    source.Request
	emit   func(*directory.Record) error
	wanted func(string) bool

	out     source.Reading
	reasons []string
	told    map[directory.Digest]bool // people whose whole record was given in this reading
	begun   time.Time                 // by Okta's clock
	refs    map[string]string         // refs of members, each text once
	logins  map[string]string         // of managers, by employee number; "" where nobody is found
}

// Read reads what was updated since the cursor, or everything.
func (o *org) Read(ctx context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
	if req.Now.IsZero() {
		req.Now = o.api.clock.Now()
	}
	p := &pass{set: o.set, api: o.api, ctx: ctx, req: req, emit: emit, wanted: wanted(req.Attributes), told: map[directory.Digest]bool{}, refs: map[string]string{}}
	next := &bookmark{Version: bookmarkVersion, Basis: o.set.basis(req.Attributes), SweptAt: req.Now, FullAt: req.Now}
	full := true
	if req.From != nil {
		before, why := o.set.fits(req.From, req.Attributes, req.Now)
		if why == "" {
			full, next = false, before
		} else {
			p.note("Everything was read: " + why + ".")
			if req.Anew != nil {
				if err := req.Anew(); err != nil {
					return source.Reading{}, err
				}
			}
		}
	}
	p.out.Full, p.out.Method = full, methodFull
	read := p.everything
	if !full {
		p.out.Method, read = methodUpdated, p.changes
	}
	if err := read(next); err != nil {
		return source.Reading{}, err
	}
	return p.end(next)
}

// end gives the verdict.
func (p *pass) end(next *bookmark) (source.Reading, error) {
	p.progress(true)
	if next.Mark = p.begun; p.begun.IsZero() {
		next.Mark = p.req.Now // nothing had to be asked
	}
	p.out.Complete = len(p.reasons) == 0
	if !p.out.Complete {
		p.out.Reason = p.reasons[0]
		p.out.Notes = append(p.out.Notes, p.reasons[1:]...)
	}
	var err error
	p.out.Next, err = json.Marshal(next)
	return p.out, err
}

func (p *pass) incomplete(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); len(p.reasons) < mostNotes && !slices.Contains(p.reasons, text) {
		p.reasons = append(p.reasons, text)
	}
}

func (p *pass) note(text string) {
	if len(p.out.Notes) < mostNotes && !slices.Contains(p.out.Notes, text) {
		p.out.Notes = append(p.out.Notes, text)
	}
}

func (p *pass) progress(last bool) {
	if p.req.Progress != nil && (last || (p.out.Users+p.out.Groups)%progressEvery == 0) {
		p.req.Progress(p.out.Users, p.out.Groups)
	}
}

// list goes through the entries of a list.
func (p *pass) list(f family, ref string, each func(*entry) error) error {
	return p.api.pages(p.ctx, f, ref, func(page []json.RawMessage, h http.Header) error {
		p.date(h)
		entries, err := parseAll(page)
		if err != nil {
			return err
		}
		if err := p.resolve(entries); err != nil {
			return err
		}
		for _, e := range entries {
			if err := each(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// date takes the time at which the reading began from its first answer: what is asked
// for the next time is compared with Okta's clock, not with ours.
func (p *pass) date(h http.Header) {
	if !p.begun.IsZero() {
		return
	}
	var err error
	if p.begun, err = http.ParseTime(h.Get("Date")); err != nil {
		p.begun = p.req.Now
	}
}

// usersRef is the address of a list of users.
func (s *settings) usersRef(filter, fields string) string {
	q := url.Values{"limit": {strconv.Itoa(s.pageSize)}}
	if filter != "" {
		q.Set("filter", filter)
	}
	if fields != "" {
		q.Set("fields", fields)
	}
	return "/api/v1/users?" + q.Encode()
}

func (s *settings) groupsRef(filter string) string {
	q := url.Values{"limit": {strconv.Itoa(s.pageSize)}}
	if filter != "" {
		q.Set("filter", filter)
	}
	return "/api/v1/groups?" + q.Encode()
}

const onlyDeprovisioned = `status eq "` + deprovisioned + `"`

// everybody goes through all people there are, the deprovisioned ones among them where
// they are read: a plain list leaves them out.
func (p *pass) everybody(fields string, each func(*entry) error) error {
	if err := p.list(users, p.set.usersRef("", fields), each); err != nil || !p.set.deprovisioned {
		return err
	}
	return p.list(users, p.set.usersRef(onlyDeprovisioned, fields), each)
}

// everything reads all.
func (p *pass) everything(next *bookmark) error {
	if p.set.people == peopleGroups && !p.set.selects() {
		p.incomplete("nobody is read: people is groups, and no group is selected; set groups.names, groups.include or groups.ids")
		return nil
	}
	selected, err := p.selected()
	if err != nil {
		return err
	}
	var refs [][]string
	switch p.set.people {
	case peopleGroups:
		next.Groups = digest(selected)
		if refs, err = p.members(selected, p.person); err != nil {
			return err
		}
	case peopleApp:
		assigned, err := p.assigned()
		if err != nil {
			return err
		}
		if err := p.everybody("", assigned.only(p.person)); err != nil {
			return err
		}
		err = p.since(p.begun, assigned.only(p.person))
		if err != nil {
			return err
		}
	default:
		if err := p.everybody("", p.person); err != nil {
			return err
		}
		// Whom a page had passed already when their status changed, and who came
		// while the pages were read.
		if err := p.since(p.begun, p.person); err != nil {
			return err
		}
	}
	if p.out.Users == 0 {
		p.incomplete("Okta lists nobody (%s): may the role of the app or administrator see them?", p.set.who())
	}
	if p.set.people != peopleGroups {
		if refs, err = p.members(selected, nil); err != nil {
			return err
		}
	}
	for i, g := range selected {
		if err := p.group(g, refs[i]); err != nil {
			return err
		}
	}
	return nil
}

// margin is how exactly times of two of Okta's machines are taken to agree.
const margin = time.Minute

// since goes through the people updated after a time.
func (p *pass) since(t time.Time, each func(*entry) error) error {
	return p.list(users, p.set.usersRef(`lastUpdated gt "`+stamp(t.Add(-margin))+`"`, ""), each)
}

// person hands on a whole record, once in a reading: what came later is of the next
// reading of changes, which asks for it again.
func (p *pass) person(e *entry) error {
	key := directory.Sum([]byte(e.id))
	if p.told[key] || e.status == deprovisioned && !p.set.deprovisioned {
		return nil
	}
	p.told[key] = true
	r, err := p.set.user(e, p.wanted)
	if err != nil {
		return err
	}
	p.lead(e, r)
	p.out.Users++
	p.progress(false)
	return p.emit(r)
}

func (p *pass) group(g *entry, refs []string) error {
	p.out.Groups++
	p.progress(false)
	return p.emit(group(g, refs))
}

// selected lists the groups that are. Those named that are not there make the reading
// incomplete: they may be renamed, or hidden by a role, and nobody leaves for that.
func (p *pass) selected() ([]*entry, error) {
	if !p.set.selects() {
		return nil, nil
	}
	var out []*entry
	there := map[string]bool{}
	err := p.list(groups, p.set.groupsRef(""), func(e *entry) error {
		if there[e.id] || !p.set.selected(e.id, e.text("name")) {
			return nil
		}
		there[e.id] = true
		out = append(out, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	p.missing(out)
	return out, nil
}

func (p *pass) missing(found []*entry) {
	for _, text := range p.set.absent(found) {
		p.incomplete("%s", text)
	}
}

// absent says of each group that is named, by name or ID, and not among those found.
func (s *settings) absent(found []*entry) []string {
	var out []string
	for _, name := range s.names {
		if !slices.ContainsFunc(found, func(e *entry) bool { return e.text("name") == name }) {
			out = append(out, fmt.Sprintf("there is no group called %q: it was renamed or deleted, may not be seen, or is left out by groups.exclude; correct groups.names", name))
		}
	}
	for _, id := range s.ids {
		if !slices.ContainsFunc(found, func(e *entry) bool { return e.id == id }) {
			out = append(out, fmt.Sprintf("there is no group with the ID %q: it was deleted, may not be seen, or is left out by groups.exclude; correct groups.ids", id))
		}
	}
	if len(found) == 0 && s.include != nil {
		out = append(out, fmt.Sprintf("no group has a name that matches %s; correct groups.include and groups.exclude", s.include))
	}
	return out
}

// assignment is whom an application is assigned to, by ID.
type assignment map[string]bool

// assigned asks for them. An application without anybody is taken for a mistake.
func (p *pass) assigned() (assignment, error) {
	out := assignment{}
	err := p.list(apps, p.set.appRef(), func(e *entry) error {
		out[e.id] = true
		return nil
	})
	if err == nil && len(out) == 0 {
		p.incomplete("nobody is assigned to the application %s, or may be seen", p.set.app)
	}
	return out, err
}

// appRef is the address of the list of those assigned to the application, who may come
// 500 at a time.
func (s *settings) appRef() string {
	size := s.pageSize
	if size == 200 {
		size = 500
	}
	return "/api/v1/apps/" + url.PathEscape(s.app) + "/users?limit=" + strconv.Itoa(size)
}

// only goes on with those assigned.
func (a assignment) only(each func(*entry) error) func(*entry) error {
	return func(e *entry) error {
		if !a[e.id] {
			return nil
		}
		return each(e)
	}
}

func membersRef(id string, size int) string {
	return "/api/v1/groups/" + url.PathEscape(id) + "/users?limit=" + strconv.Itoa(size)
}

// idFilter asks for people by ID.
func idFilter(ids []string) string {
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = "id eq " + quoted(id)
	}
	return strings.Join(parts, " or ")
}

// quoted is a text as filters have it: JSON's escapes, as of RFC 7644.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
