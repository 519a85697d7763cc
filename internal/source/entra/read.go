package entra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/source"
)

// The ways of reading, by the names runs have for them.
const (
	methodFull  = "full"
	methodDelta = "delta"
)

// reading is one pass over a tenant.
type reading struct {
	*tenant
	req  source.Request
	wish wish
	emit func(*directory.Record) error
	out  source.Reading
	book *bookmark // the next one
}

// lostError is that everything has to be read, with the reason.
type lostError struct{ why string }

func (e *lostError) Error() string { return e.why }

// Read reads what changed since the cursor, or everything.
func (t *tenant) Read(ctx context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
	if err := t.permitted(ctx); err != nil {
		return source.Reading{}, err
	}
	wanted := req.Attributes
	if wanted == nil {
		wanted = []string{}
	}
	r := &reading{tenant: t, req: req, wish: t.set.wishFor(wanted), emit: emit}
	if t.set.membersOnly && t.set.groups.none() {
		return r.nobody()
	}
	r.note()
	basis := t.set.basis(r.wish)
	if req.From != nil {
		old, why := t.set.usable(req.From, basis, req.Now)
		if old != nil {
			err := r.changes(ctx, old)
			var gone *lostError
			if !errors.As(err, &gone) {
				return r.end(methodDelta, err)
			}
			why = gone.why
		}
		r.out.Notes = append(r.out.Notes, "Everything was read: "+why+".")
		if err := req.Anew(); err != nil {
			return source.Reading{}, err
		}
	}
	r.out.Full = true
	r.book = &bookmark{Version: bookmarkVersion, Basis: basis, At: req.Now, SweptAt: req.Now, FullAt: req.Now}
	return r.end(methodFull, r.full(ctx))
}

// note says what somebody should know of any reading with these settings.
func (r *reading) note() {
	r.out.Complete = true
	if r.set.groups.none() {
		r.out.Notes = append(r.out.Notes, "No group is selected: groups are not read.")
	}
	if len(r.wish.unknown) > 0 {
		r.out.Notes = append(r.out.Notes, fmt.Sprintf("The mapping wants what Microsoft Graph does not give of people in lists: %s.", strings.Join(r.wish.unknown, ", ")))
	}
}

// nobody is the reading where nobody is selected. It is not complete: who was
// synchronized before stays until somebody says who is wanted.
func (r *reading) nobody() (source.Reading, error) {
	if r.req.From != nil {
		if err := r.req.Anew(); err != nil {
			return source.Reading{}, err
		}
	}
	return source.Reading{Full: true, Method: methodFull, Reason: nobody + ". " + nobodyHint}, nil
}

func (r *reading) end(method string, err error) (source.Reading, error) {
	if err != nil {
		return source.Reading{}, err
	}
	r.out.Method = method
	if r.out.Next, err = json.Marshal(r.book); err != nil {
		return source.Reading{}, err
	}
	return r.out, nil
}

// incomplete says why what is missing may be there.
func (r *reading) incomplete(format string, args ...any) {
	r.out.Complete = false
	if r.out.Reason == "" {
		r.out.Reason = fmt.Sprintf(format, args...)
	}
}

func (r *reading) hand(rec *directory.Record) error {
	if err := r.emit(rec); err != nil {
		return err
	}
	if rec.Gone {
		return nil
	}
	if rec.Kind == directory.User {
		r.out.Users++
	} else {
		r.out.Groups++
	}
	if r.req.Progress != nil && (r.out.Users+r.out.Groups)%500 == 0 {
		r.req.Progress(r.out.Users, r.out.Groups)
	}
	return nil
}

// person is what a full reading keeps of one until the round is over: until then
// another entry may take its place.
type person struct {
	record  []byte // nil of a guest, who is seen and not read
	manager string
	removed bool
}

// everybody is what a full reading gathers.
type everybody struct {
	people map[string]person
	groups map[string]*circle
}

// circle is a group with its members.
type circle struct {
	item    item
	members map[string]string // id to type
	removed bool
}

// children are the members that are groups, as far as their type says so, or known
// says that an id is a group.
func (c *circle) children(known func(id string) bool) []string {
	var out []string
	for id, kind := range c.members {
		if strings.EqualFold(kind, typeGroup) || kind == "" && known(id) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// full reads everything. When Graph loses the state in the middle of it, once more.
func (r *reading) full(ctx context.Context) error {
	all, err := r.gather(ctx)
	if lost(err) {
		all, err = r.gather(ctx)
	}
	if err != nil {
		return err
	}
	if err := r.handPeople(all); err != nil {
		return err
	}
	return r.handGroups(all)
}

func (r *reading) gather(ctx context.Context) (*everybody, error) {
	all := &everybody{people: map[string]person{}, groups: map[string]*circle{}}
	properties := r.wish.selectUser()
	if r.wish.manager {
		properties += "," + managerName
	}
	var err error
	r.book.Users, err = r.round(ctx, query("/v1.0/users/delta", "$select", properties), forUsers, func(items []item) error {
		for i := range items {
			all.take(r, &items[i])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !r.set.groups.none() {
		if err := r.gatherGroups(ctx, all); err != nil {
			return nil, err
		}
	}
	return all, r.prove(ctx, all)
}

// take keeps an entry of the first round. One that was removed may be told of too.
func (all *everybody) take(r *reading, it *item) {
	if it.removed {
		all.people[it.id] = person{removed: true}
		return
	}
	if it.guest() && !r.set.guests {
		all.people[it.id] = person{}
		return
	}
	manager := it.manager
	if r.wish.manager {
		manager = it.lastManager(manager)
	} else {
		manager = ""
	}
	all.people[it.id] = person{record: it.user(r.wish, "").Append(nil), manager: manager}
}

// gatherGroups reads groups and members. A large group comes in parts, on several
// pages: they are put together.
func (r *reading) gatherGroups(ctx context.Context, all *everybody) error {
	var err error
	ref := query("/v1.0/groups/delta", "$select", "id,"+strings.Join(groupProperties, ",")+",members")
	r.book.Groups, err = r.round(ctx, ref, forGroups, func(items []item) error {
		for i := range items {
			it := &items[i]
			c := all.groups[it.id]
			if c == nil || it.removed || c.removed {
				c = &circle{item: item{id: it.id, properties: map[string]json.RawMessage{}}, members: map[string]string{}, removed: it.removed}
				all.groups[it.id] = c
			}
			maps.Copy(c.item.properties, it.properties)
			for _, m := range it.members {
				if m.removed {
					delete(c.members, m.id)
				} else if m.counts() {
					c.members[m.id] = m.kind
				}
			}
		}
		return nil
	})
	return err
}

// prove asks for the ids of all, so that nobody is missing whom the rounds left out:
// who was made a moment ago, and what some tenants' deltas are silent about. With it
// come the managers, which a delta may leave out.
func (r *reading) prove(ctx context.Context, all *everybody) error {
	var missing []string
	err := r.everyUser(ctx, r.set.idOnly(), r.wish.expand(), func(it item) error {
		p, ok := all.people[it.id]
		switch {
		case !ok && it.guest() && !r.set.guests:
		case !ok:
			missing = append(missing, it.id)
		case p.record != nil && r.wish.manager:
			p.manager = it.manager
			all.people[it.id] = p
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.wholeUsers(ctx, missing, func(it item) error {
		all.take(r, &it)
		return nil
	}); err != nil {
		return err
	}
	if r.set.groups.none() {
		return nil
	}
	missing = nil
	if err := r.everyGroup(ctx, func(id, _ string) {
		if all.groups[id] == nil {
			missing = append(missing, id)
		}
	}); err != nil {
		return err
	}
	for _, id := range missing {
		c, err := r.wholeGroup(ctx, id)
		if err != nil {
			return err
		}
		all.groups[id] = c
	}
	return nil
}

// manyIDs is from how many users on a list of all is shorter than asking for them.
const manyIDs = 1000

// wholeUsers reads users in whole.
func (r *reading) wholeUsers(ctx context.Context, ids []string, each func(item) error) error {
	if len(ids) <= manyIDs {
		return r.usersByID(ctx, r.wish, ids, each)
	}
	want := make(map[string]bool, len(ids))
	for _, id := range ids {
		want[id] = true
	}
	return r.everyUser(ctx, r.wish.selectUser(), r.wish.expand(), func(it item) error {
		if !want[it.id] {
			return nil
		}
		return each(it)
	})
}

// wholeGroup reads a group with its members.
func (r *reading) wholeGroup(ctx context.Context, id string) (*circle, error) {
	it, err := r.groupByID(ctx, id)
	if err != nil {
		return nil, err
	}
	c := &circle{item: it, members: map[string]string{}}
	return c, r.readMembers(ctx, c)
}

func (r *reading) readMembers(ctx context.Context, c *circle) error {
	members, groups, err := r.membersOf(ctx, c.item.id)
	for _, m := range members {
		c.members[m] = typeUser
	}
	for _, g := range groups {
		c.members[g] = typeGroup
	}
	return err
}

func (r *reading) handPeople(all *everybody) error {
	var rec directory.Record
	for _, id := range slices.Sorted(maps.Keys(all.people)) {
		p := all.people[id]
		if p.record == nil {
			continue
		}
		if err := rec.Decode(p.record); err != nil {
			return err
		}
		if p.manager != "" {
			rec.Attributes = append(rec.Attributes, directory.Attribute{Name: managerName, Values: []string{p.manager}})
		}
		if err := r.hand(&rec); err != nil {
			return err
		}
	}
	return nil
}

// handGroups hands on the selected groups and those in them.
func (r *reading) handGroups(all *everybody) error {
	if r.set.groups.none() {
		return nil
	}
	there := func(id string) bool { return all.groups[id] != nil && !all.groups[id].removed }
	roots, named, edges := map[string]bool{}, map[string]string{}, map[string][]string{}
	for id, c := range all.groups {
		if c.removed {
			continue
		}
		if name := c.item.text("displayName"); r.set.groups.holds(id, name) {
			if roots[id] = true; r.set.groups.named(id, name) {
				named[id] = name
			}
		}
		if children := slices.DeleteFunc(c.children(there), func(id string) bool { return !there(id) }); len(children) > 0 {
			edges[id] = children
		}
	}
	if len(roots) == 0 && (r.set.membersOnly || len(all.groups) > 0) {
		r.incomplete("The selection of groups matches none of %s: whoever left is not taken for gone. Check groups.include, groups.names and groups.ids.", source.Counted(len(all.groups), "group", "groups"))
	}
	in := reach(roots, edges)
	r.book.remember(roots, in, edges)
	r.name(named)
	for _, id := range slices.Sorted(maps.Keys(in)) {
		c := all.groups[id]
		if err := r.hand(c.item.group(slices.Sorted(maps.Keys(c.members)))); err != nil {
			return err
		}
	}
	return nil
}

// name remembers the groups that are set by name or ID. Where one is missing, those
// who were in it may be meant still: nobody leaves for that.
func (r *reading) name(found map[string]string) {
	r.book.Named = found
	for _, text := range r.set.groups.absent(found) {
		r.incomplete("%s", text)
	}
}

// reach is the roots and all groups in them.
func reach(roots map[string]bool, edges map[string][]string) map[string]bool {
	in := map[string]bool{}
	var todo []string
	for id := range roots {
		in[id] = true
		todo = append(todo, id)
	}
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, child := range edges[at] {
			if !in[child] {
				in[child] = true
				todo = append(todo, child)
			}
		}
	}
	return in
}

// remember keeps what the next reading of changes must know of groups in groups.
func (b *bookmark) remember(roots, in map[string]bool, edges map[string][]string) {
	b.Edges, b.Nested = map[string][]string{}, nil
	for id := range in {
		if len(edges[id]) > 0 {
			b.Edges[id] = edges[id]
		}
		if !roots[id] {
			b.Nested = append(b.Nested, id)
		}
	}
	slices.Sort(b.Nested)
}

func due(at, now time.Time, every time.Duration) bool { return at.After(now) || now.Sub(at) >= every }
