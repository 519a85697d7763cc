package google

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/source"
)

// methodFull is the only way of reading.
const methodFull = "full"

// mostNotes is how many reasons and notes are kept.
const mostNotes = 50

// progressEvery is how many records come between two reports of progress.
const progressEvery = 500

// pass is one reading.
type pass struct {
	*workspace
	ctx  context.Context
	req  source.Request
	wish wish
	emit func(*directory.Record) error

	out     source.Reading
	reasons []string
	units   []string          // paths that are read; nil for all
	groups  []*group          // those handed on
	chosen  map[string]bool   // IDs of those in groups; nil where everybody is read
	listed  map[string]string // IDs of all people listed, each text once
	byEmail map[string]string // IDs by address in small letters; only where managers are read
	held    []waiting         // people whose manager has not come yet
	orphans int               // people whose manager is nobody in the directory
}

// waiting is a person's record in its encoded form, and the address of the manager.
type waiting struct {
	record  []byte
	manager string
}

// Read reads everything: groups and their members first, which say who is wanted, then
// people, who are handed on as they come, and then hands on the groups.
func (w *workspace) Read(ctx context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
	wanted := req.Attributes
	if wanted == nil {
		wanted = []string{}
	}
	p := w.pass(ctx, req, wishFor(wanted), emit)
	if req.From != nil && req.Anew != nil {
		if err := req.Anew(); err != nil {
			return source.Reading{}, err
		}
	}
	p.out.Full, p.out.Method = true, methodFull
	if len(p.wish.unknown) > 0 {
		p.note("The mapping wants what Google does not have of people: %s.", strings.Join(p.wish.unknown, ", "))
	}
	if err := p.everything(); err != nil {
		return source.Reading{}, err
	}
	p.progress(true)
	p.out.Complete = len(p.reasons) == 0
	if !p.out.Complete {
		p.out.Reason = p.reasons[0]
		p.out.Notes = append(p.out.Notes, p.reasons[1:]...)
	}
	return p.out, nil
}

func (w *workspace) pass(ctx context.Context, req source.Request, want wish, emit func(*directory.Record) error) *pass {
	return &pass{workspace: w, ctx: ctx, req: req, wish: want, emit: emit, listed: map[string]string{}, byEmail: map[string]string{}}
}

func (p *pass) incomplete(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); len(p.reasons) < mostNotes && !slices.Contains(p.reasons, text) {
		p.reasons = append(p.reasons, text)
	}
}

func (p *pass) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); len(p.out.Notes) < mostNotes && !slices.Contains(p.out.Notes, text) {
		p.out.Notes = append(p.out.Notes, text)
	}
}

func (p *pass) progress(last bool) {
	if p.req.Progress != nil && (last || (p.out.Users+p.out.Groups)%progressEvery == 0) {
		p.req.Progress(p.out.Users, p.out.Groups)
	}
}

const nobody = "people is groups, and no group is selected: nobody is read"

const nobodyHint = "Set groups.include, groups.names or groups.ids; or set people to all."

func (p *pass) everything() error {
	if p.set.people == peopleGroups && p.set.groups.none() {
		p.incomplete("%s. %s", nobody, nobodyHint)
		return nil
	}
	if err := p.findUnits(); err != nil {
		return err
	}
	if err := p.gather(); err != nil {
		return err
	}
	if err := p.people(); err != nil {
		return err
	}
	return p.handGroups()
}

// findUnits turns the units that are set into paths. One that is not there makes the
// reading incomplete: it may have been renamed, and nobody leaves for that.
func (p *pass) findUnits() error {
	paths, absent, err := p.unitPaths(p.ctx)
	p.units = paths
	for _, unit := range absent {
		p.incomplete("there is no organizational unit %q: it was renamed or deleted; correct org_units", unit)
	}
	return err
}

// unitPaths are the paths of the units that are set, and those that are not there; nil
// where none is set, or the root is.
func (w *workspace) unitPaths(ctx context.Context) (paths, absent []string, err error) {
	if len(w.set.orgUnits) == 0 || slices.Contains(w.set.orgUnits, "/") {
		return nil, nil, nil
	}
	all, err := w.orgUnits(ctx)
	if err != nil {
		return nil, nil, err
	}
	paths = []string{}
	for _, unit := range w.set.orgUnits {
		i := slices.IndexFunc(all, func(u orgUnit) bool { return u.ID == unit || strings.EqualFold(u.Path, unit) })
		if i < 0 {
			absent = append(absent, unit)
			continue
		}
		paths = append(paths, all[i].Path)
	}
	return paths, absent, nil
}

// within reports whether a person of a unit is read.
func within(paths []string, unit string) bool {
	return paths == nil || slices.ContainsFunc(paths, func(p string) bool {
		return strings.EqualFold(unit, p) || len(unit) > len(p) && unit[len(p)] == '/' && strings.EqualFold(unit[:len(p)], p)
	})
}

// wants reports whether a person is read.
func (p *pass) wants(u *user) bool {
	return within(p.units, u.unit) && (p.chosen == nil || p.chosen[u.id])
}

// people goes through everybody and hands on those wanted. Pages may repeat somebody,
// who is taken once.
func (p *pass) people() error {
	err := p.users(p.ctx, p.wish, func(entries []json.RawMessage) error {
		if len(entries) == 0 && len(p.listed) == 0 {
			p.incomplete("Google lists nobody, not even %s: check customer and domain", p.set.subject)
		}
		for _, raw := range entries {
			u, err := parseUser(raw)
			if err != nil {
				return err
			}
			if _, ok := p.listed[u.id]; ok {
				continue
			}
			p.listed[u.id] = u.id
			if p.wish.manager {
				p.knowAddresses(u)
			}
			if !p.wants(u) {
				continue
			}
			if err := p.person(u); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.release(); err != nil {
		return err
	}
	if p.out.Users == 0 && len(p.listed) > 0 {
		p.incomplete("of %d people listed none is read (%s)", len(p.listed), p.set.who())
	}
	return nil
}

func (p *pass) knowAddresses(u *user) {
	for _, a := range append([]string{u.email}, u.aliases...) {
		if a = strings.ToLower(a); a != "" {
			// Nobody else's primary address is an alias; if it is, it is the primary one that counts.
			if _, taken := p.byEmail[a]; !taken || strings.EqualFold(a, u.email) {
				p.byEmail[a] = u.id
			}
		}
	}
}

// person hands somebody on, or holds them back until it is known whom the manager's
// address leads to.
func (p *pass) person(u *user) error {
	manager := ""
	if p.wish.manager && u.manager != "" {
		if manager = p.byEmail[strings.ToLower(u.manager)]; manager == "" {
			p.held = append(p.held, waiting{record: u.record(p.wish, "").Append(nil), manager: u.manager})
			return nil
		}
	}
	return p.hand(u.record(p.wish, manager))
}

// release hands on those held back. An address that leads to nobody stands as it is.
func (p *pass) release() error {
	var r directory.Record
	for _, h := range p.held {
		if err := r.Decode(h.record); err != nil {
			return err
		}
		manager := p.byEmail[strings.ToLower(h.manager)]
		if manager == "" {
			manager = h.manager
			p.orphans++
		}
		r.Attributes = append(r.Attributes, directory.Attribute{Name: managerName, Values: []string{manager}})
		if err := p.hand(&r); err != nil {
			return err
		}
	}
	if p.held = nil; p.orphans > 0 {
		p.note("%s a manager whose address leads to nobody in the directory.", source.Counted(p.orphans, "person has", "people have"))
	}
	return nil
}

func (p *pass) hand(r *directory.Record) error {
	if r.Kind == directory.User {
		p.out.Users++
	} else {
		p.out.Groups++
	}
	p.progress(false)
	return p.emit(r)
}
