package simulator

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
)

// Flags of a DirSync request (MS-ADTS 3.1.1.3.4.1.3).
const (
	dirSyncObjectSecurity = 0x1
	dirSyncIncremental    = 0x80000000
)

// dirSyncCookie is where a DirSync goes on: what was changed behind number base
// is told of, in the order of the numbers, and has been as far as position.
type dirSyncCookie struct{ base, position int64 }

// mark begins a cookie and binds it to the domain: it is good on each of its
// domain controllers.
func (r *activeDirectory) mark() string { return "MSDS\x03\x00\x00\x00" + invocationID(r.p.suffix()) }

func (r *activeDirectory) writeCookie(c dirSyncCookie) string {
	b := binary.LittleEndian.AppendUint64([]byte(r.mark()), uint64(c.base)) //nolint:gosec // a count
	return string(binary.LittleEndian.AppendUint64(b, uint64(c.position)))  //nolint:gosec // a count
}

func (r *activeDirectory) readCookie(text string) (c dirSyncCookie, ok bool) {
	if text == "" {
		return c, true
	}
	rest, ok := strings.CutPrefix(text, r.mark())
	if !ok || len(rest) != 16 {
		return c, false
	}
	c.base = int64(binary.LittleEndian.Uint64([]byte(rest)))         //nolint:gosec // checked below
	c.position = int64(binary.LittleEndian.Uint64([]byte(rest[8:]))) //nolint:gosec // checked below
	return c, c.base >= 0 && c.position >= c.base && c.position <= r.s.Tree.Number()
}

// dirSync answers one round.
func (r *activeDirectory) dirSync(s *search, control *wire.Control) wire.Result {
	flags, _, text, err := control.DirSync()
	if err != nil {
		return wire.Result{Code: wire.ProtocolError, Text: badControl}
	}
	_, key := s.c.who()
	if !slices.Contains(r.contexts, s.base) || flags&dirSyncObjectSecurity == 0 && !slices.Contains(r.replicators, key) {
		return wire.Result{Code: wire.InsufficientAccess, Text: noRights}
	}
	cookie, ok := r.readCookie(text)
	if !ok {
		return wire.Result{Code: wire.UnavailableCritical, Text: badControl}
	}
	d := &dirSync{r: r, s: s, base: cookie.base, incremental: flags&dirSyncIncremental != 0}
	d.deleted = flags&dirSyncObjectSecurity == 0 || slices.Contains(r.readers, key)
	due, number := d.due(cookie.position)
	round := cmp.Or(r.p.DirSyncRound, 1000)
	for _, e := range due {
		sent, err := d.send(e)
		if err != nil {
			return wire.Result{}
		}
		if sent {
			round--
		}
		if round == 0 && e != due[len(due)-1] {
			next := r.writeCookie(dirSyncCookie{cookie.base, e.Changed})
			return wire.Result{Controls: []wire.Control{wire.NewDirSync(true, next)}}
		}
	}
	return wire.Result{Controls: []wire.Control{wire.NewDirSync(false, r.writeCookie(dirSyncCookie{number, number}))}}
}

// dirSync is one round of a DirSync.
type dirSync struct {
	r           *activeDirectory
	s           *search
	base        int64
	incremental bool
	deleted     bool // deleted objects are told of
	touched     map[int64]map[string]bool
	renamed     map[int64]bool
	links       map[int64]map[string]map[string]bool // by entry, attribute and key: added or removed
}

// due gives what was changed behind a position, in that order, and the number of
// the last change of all. What is edited meanwhile makes it look again.
func (d *dirSync) due(position int64) (due []*tree.Entry, number int64) {
	for {
		due, number = nil, d.r.s.Tree.Number()
		d.gather()
		d.r.s.Tree.Walk("", tree.Sub, 0, func(e *tree.Entry) bool {
			if e.Changed > position && d.r.contextOf(e.Key) == d.s.base {
				due = append(due, e)
			}
			return true
		})
		if d.r.s.Tree.Number() == number {
			slices.SortFunc(due, func(a, b *tree.Entry) int { return cmp.Compare(a.Changed, b.Changed) })
			return due, number
		}
	}
}

// gather finds out what was written behind the base. Values of links are known
// by the entry they name, whatever that was called at the time.
func (d *dirSync) gather() {
	d.touched, d.renamed = map[int64]map[string]bool{}, map[int64]bool{}
	d.links = map[int64]map[string]map[string]bool{}
	if d.base == 0 {
		return
	}
	changes, _ := d.r.s.Tree.Since(0)
	from, _ := slices.BinarySearchFunc(changes, d.base, func(c tree.Change, n int64) int { return cmp.Compare(d.numberAt(changes, c.Seq), n+1) })
	for _, c := range changes[from:] {
		if c.Before != nil && (c.After == nil || c.After.Key != c.Before.Key) {
			d.follow(c)
		}
		if c.Number <= d.base {
			continue
		}
		e := c.Entry()
		if d.touched[e.ID] == nil {
			d.touched[e.ID] = map[string]bool{}
		}
		for _, name := range c.Touched {
			d.touched[e.ID][name] = true
			if d.incremental && d.s.schema.Type(name).Link && c.After != nil {
				d.diff(c, name)
			}
		}
		if c.Kind == tree.Renamed {
			d.renamed[e.ID] = true
		}
		if c.Kind == tree.Added {
			d.touched[e.ID]["*"] = true
		}
	}
}

// numberAt is the number of the last numbered change up to a Seq.
func (d *dirSync) numberAt(changes []tree.Change, seq int64) int64 {
	for i := seq - 1; i >= 0; i-- {
		if changes[i].Number != 0 {
			return changes[i].Number
		}
	}
	return 0
}

// diff takes down which values of a link a change added and removed.
func (d *dirSync) diff(c tree.Change, name string) {
	e := c.Entry()
	if d.links[e.ID] == nil {
		d.links[e.ID] = map[string]map[string]bool{}
	}
	net := d.links[e.ID][name]
	if net == nil {
		net = map[string]bool{}
		d.links[e.ID][name] = net
	}
	keys := func(e *tree.Entry) map[string]bool {
		out := map[string]bool{}
		if e != nil {
			for _, v := range e.Get(name) {
				out[keyOf(v)] = true
			}
		}
		return out
	}
	was, is := keys(c.Before), keys(c.After)
	for key := range was {
		if !is[key] {
			net[key] = false
		}
	}
	for key := range is {
		if !was[key] {
			net[key] = true
		}
	}
}

// follow gives what was taken down under an entry's key the key it has now, or
// loses it where the entry is deleted: then its links are gone without a trace.
func (d *dirSync) follow(c tree.Change) {
	for _, attributes := range d.links {
		for _, net := range attributes {
			added, ok := net[c.Before.Key]
			if !ok {
				continue
			}
			delete(net, c.Before.Key)
			if c.After != nil && !c.After.Buried {
				net[c.After.Key] = added
			}
		}
	}
}

// notReplicated are attributes each domain controller has for itself, or finds out.
var notReplicated = []string{"usnchanged", "usncreated", "whenchanged", "memberof", "directreports", "distinguishedname", "badpwdcount"}

// send tells of one entry, if there is anything to tell.
func (d *dirSync) send(e *tree.Entry) (bool, error) {
	if e.Buried && !d.deleted || d.s.q.Filter.Match(d.s.schema, d.s.view(e)) != tree.True {
		return false, nil
	}
	touched := d.touched[e.ID]
	whole := d.base == 0 || touched["*"]
	var out []tree.Attribute
	add := func(name string, values ...string) { out = append(out, tree.Attribute{Name: name, Values: values}) }
	add("objectGUID", string(e.UUID[:]))
	add("instanceType", e.First("instanceType"))
	always := len(out)
	if e.Buried {
		add("isDeleted", "TRUE")
	}
	if d.renamed[e.ID] || e.Buried || whole {
		add("name", e.First("name"))
		if v := d.s.view(e).Values("parentGUID"); len(v) > 0 && (len(d.s.q.Attributes) == 0 || !whole) {
			add("parentGUID", v...)
		}
	}
	news := whole || len(out) > always
	names := make([]string, 0, len(e.Attrs))
	for _, a := range e.Attrs {
		if whole || touched[strings.ToLower(a.Name)] {
			names = append(names, a.Name)
		}
	}
	for name := range touched {
		if len(e.Get(name)) == 0 && name != "*" && !whole {
			names = append(names, d.s.schema.Type(name).Name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		kind := d.s.schema.Type(name)
		if kind.Secret || slices.Contains(notReplicated, strings.ToLower(name)) || !d.s.picked.wants(d.s.schema, name, false) ||
			slices.ContainsFunc(out, func(a tree.Attribute) bool { return a.Name == name }) {
			continue
		}
		news = true
		if d.incremental && kind.Link {
			out = append(out, d.values(e, name, whole)...)
		} else {
			add(name, e.Get(name)...)
		}
	}
	if whole && d.s.picked.wants(d.s.schema, "whenCreated", false) {
		add("whenCreated", adTime(e.CreatedAt))
	}
	if !news {
		return false, nil
	}
	return true, d.split(e, out)
}

// values are what a link gained (range=1-1) and lost (range=0-0).
func (d *dirSync) values(e *tree.Entry, name string, whole bool) []tree.Attribute {
	var added, removed []string
	net := d.links[e.ID][strings.ToLower(name)]
	for _, v := range e.Get(name) {
		if whole || net[keyOf(v)] {
			added = append(added, v)
		}
	}
	for key, in := range net {
		if !in && !slices.ContainsFunc(e.Get(name), func(v string) bool { return keyOf(v) == key }) {
			removed = append(removed, d.spelling(key))
		}
	}
	slices.Sort(removed)
	var out []tree.Attribute
	if len(removed) > 0 && !whole {
		out = append(out, tree.Attribute{Name: name + ";range=0-0", Values: removed})
	}
	if len(added) > 0 {
		out = append(out, tree.Attribute{Name: name + ";range=1-1", Values: added})
	}
	return out
}

// spelling is how an entry's DN is written.
func (d *dirSync) spelling(key string) string {
	if e := d.r.s.Tree.Lookup(key); e != nil {
		return e.DN
	}
	return key
}

// split sends an entry once, or several times where values come in portions.
func (d *dirSync) split(e *tree.Entry, attributes []tree.Attribute) error {
	most := d.r.p.DirSyncValues
	for {
		var now, rest []tree.Attribute
		for _, a := range attributes {
			if most > 0 && strings.Contains(a.Name, ";range=") && len(a.Values) > most {
				rest = append(rest, tree.Attribute{Name: a.Name, Values: a.Values[most:]})
				a.Values = a.Values[:most]
			}
			now = append(now, a)
		}
		if err := d.s.entry(d.s.frame(e.DN, now), false); err != nil || len(rest) == 0 {
			return err
		}
		attributes = append(slices.Clone(attributes[:2]), rest...)
	}
}
