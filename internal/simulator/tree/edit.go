package tree

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Op is what a Mod does with its values (RFC 4511, 4.6; RFC 4525).
type Op int

// The operations.
const (
	AddValues Op = iota
	DeleteValues
	ReplaceValues
	Increment
)

// Mod is one change of one attribute. DeleteValues without values takes the
// attribute away.
type Mod struct {
	Op     Op
	Name   string
	Values []string
}

// Replace is the Mod that puts values in place of an attribute's.
func Replace(name string, values ...string) Mod { return Mod{ReplaceValues, name, values} }

// Plus is the Mod that adds values.
func Plus(name string, values ...string) Mod { return Mod{AddValues, name, values} }

// Minus is the Mod that takes values away, or the attribute where none are given.
func Minus(name string, values ...string) Mod { return Mod{DeleteValues, name, values} }

// Add adds an entry of name, value, name, value.
func (t *Tree) Add(dn string, pairs ...string) (*Entry, error) {
	return t.Insert(dn, AttributeList(pairs...))
}

// Insert adds an entry.
func (t *Tree) Insert(dn string, attributes []Attribute) (*Entry, error) {
	key, err := Key(dn)
	if err != nil || key == "" {
		return nil, refuse(invalidDN, "invalid DN %q", dn)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at(key) != nil {
		return nil, refuse(alreadyExists, "the entry %q exists", dn)
	}
	if err := t.placeable(key); err != nil {
		return nil, err
	}
	now := t.o.Now().UTC()
	e := (&Entry{ID: t.last + 1, UUID: t.uuid(), DN: dn, Key: key, Attrs: attributes, CreatedAt: now}).draft()
	for i := range e.Attrs {
		e.Attrs[i].Name = t.spell(e.Attrs[i].Name)
		if twice(t.o.Schema, e.Attrs[i]) {
			return nil, refuse(valueExists, "%s has a value twice", e.Attrs[i].Name)
		}
	}
	rdn, _ := ParseDN(dn) // Key read it already
	for _, a := range rdn[0] {
		if !t.holds(e, a.Type, a.Value) {
			e.Set(t.spell(a.Type), append(slices.Clone(e.Get(a.Type)), a.Value)...)
		}
	}
	if t.o.Settle != nil {
		if err := t.o.Settle(nil, e); err != nil {
			return nil, err
		}
	}
	t.last++
	t.order = append(t.order, e.ID)
	t.stamp(e, now)
	e.Created = e.Changed
	t.put(nil, e, Added, touchedBy(nil, e), e.Changed)
	t.echo(nil, e)
	t.wake()
	return e, nil
}

// spell gives an attribute the name its type has, with the options it was given.
func (t *Tree) spell(name string) string {
	base, options, found := strings.Cut(name, ";")
	base = t.o.Schema.Type(base).Name
	if found {
		return base + ";" + options
	}
	return base
}

func (t *Tree) placeable(key string) error {
	parent := ParentKey(key)
	if parent == "" || t.o.Orphans || t.suffixes[key] || t.at(parent) != nil {
		return nil
	}
	err := refuse(noSuchObject, "there is no entry above")
	for up := ParentKey(parent); up != ""; up = ParentKey(up) {
		if e := t.at(up); e != nil {
			err.Matched = e.DN
			break
		}
	}
	return err
}

// Modify changes an entry; all of the mods, or none.
func (t *Tree) Modify(dn string, mods ...Mod) error { return t.modify(dn, true, mods) }

// Whisper is Modify without a new change number or time.
func (t *Tree) Whisper(dn string, mods ...Mod) error { return t.modify(dn, false, mods) }

func (t *Tree) modify(dn string, loud bool, mods []Mod) error {
	key, err := Key(dn)
	if err != nil {
		return refuse(invalidDN, "invalid DN %q", dn)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.at(key)
	if before == nil {
		return refuse(noSuchObject, "there is no entry %q", dn)
	}
	e := before.draft()
	var touched []string
	for _, m := range mods {
		m.Name = t.spell(m.Name)
		if err := t.apply(e, m); err != nil {
			return err
		}
		touched = append(touched, strings.ToLower(m.Name))
	}
	rdn, _ := ParseDN(e.DN) // it is in the tree
	for _, a := range rdn[0] {
		if !t.holds(e, a.Type, a.Value) {
			return refuse(namingViolation, "%s=%s names the entry", a.Type, a.Value)
		}
	}
	if t.o.Settle != nil {
		if err := t.o.Settle(before, e); err != nil {
			return err
		}
	}
	for _, name := range touchedBy(before, e) {
		if !slices.Contains(touched, name) {
			touched = append(touched, name)
		}
	}
	number := int64(0)
	if loud {
		t.stamp(e, t.o.Now().UTC())
		number = e.Changed
	}
	t.put(before, e, Modified, touched, number)
	t.echo(before, e)
	t.wake()
	return nil
}

// Rename gives an entry another RDN, and another place where above is not nil.
// What is below moves along without being stamped.
func (t *Tree) Rename(dn, rdn string, deleteOld bool, above *string) error {
	key, err := Key(dn)
	if err != nil {
		return refuse(invalidDN, "invalid DN %q", dn)
	}
	avas, err := ParseDN(rdn)
	if err != nil || len(avas) != 1 {
		return refuse(invalidDN, "invalid RDN %q", rdn)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.at(key)
	if before == nil {
		return refuse(noSuchObject, "there is no entry %q", dn)
	}
	_, parent := SplitDN(before.DN)
	if above != nil {
		parent = *above
	}
	target := JoinDN(rdn, parent)
	newKey, err := Key(target)
	if err != nil {
		return refuse(invalidDN, "invalid DN %q", target)
	}
	switch there := t.at(newKey); {
	case there != nil && there != before:
		return refuse(alreadyExists, "the entry %q exists", target)
	case newKey != key && Below(newKey, key):
		return refuse(notAllowedOnNode, "%q lies below %q", target, dn)
	}
	if err := t.placeable(newKey); err != nil {
		return err
	}
	e := before.draft()
	e.DN, e.Key = target, newKey
	old, _ := ParseDN(before.DN)
	for _, a := range old[0] {
		if deleteOld && !slices.ContainsFunc(avas[0], func(n AVA) bool { return strings.EqualFold(n.Type, a.Type) && n.Value == a.Value }) {
			_ = t.apply(e, Minus(t.spell(a.Type), a.Value)) // what is not there any more need not be taken away
		}
	}
	for _, a := range avas[0] {
		if !t.holds(e, a.Type, a.Value) {
			e.Set(t.spell(a.Type), append(slices.Clone(e.Get(a.Type)), a.Value)...)
		}
	}
	if t.o.Settle != nil {
		if err := t.o.Settle(before, e); err != nil {
			return err
		}
	}
	t.stamp(e, t.o.Now().UTC())
	t.put(before, e, Renamed, touchedBy(before, e), e.Changed)
	t.follow(before.Key, e)
	t.carry(before.Key, e)
	t.wake()
	return nil
}

// carry moves what lies below an entry that was renamed.
func (t *Tree) carry(oldKey string, top *Entry) {
	var below []*Entry
	for _, e := range t.entries {
		if e.Key != oldKey && e != top && Below(e.Key, oldKey) {
			below = append(below, e)
		}
	}
	slices.SortFunc(below, func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(strings.Count(a.Key, ","), strings.Count(b.Key, ",")), cmp.Compare(a.ID, b.ID))
	})
	moved := map[string]*Entry{oldKey: top}
	for _, b := range below {
		before := t.entries[b.ID] // its links may have been changed since
		e := before.draft()
		rdn, _ := SplitDN(before.DN)
		e.DN = JoinDN(rdn, moved[ParentKey(before.Key)].DN)
		e.Key = looseKey(e.DN)
		moved[before.Key] = e
		t.put(before, e, Renamed, nil, 0)
		t.follow(before.Key, e)
	}
}

// Delete deletes an entry without children.
func (t *Tree) Delete(dn string) error {
	key, err := Key(dn)
	if err != nil {
		return refuse(invalidDN, "invalid DN %q", dn)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.at(key)
	if e == nil {
		return refuse(noSuchObject, "there is no entry %q", dn)
	}
	for _, other := range t.entries {
		if ParentKey(other.Key) == key {
			return refuse(notAllowedOnNode, "there are entries below %q", dn)
		}
	}
	t.drop(e)
	t.wake()
	return nil
}

// Restore brings back what is buried, under a DN and with changes.
func (t *Tree) Restore(id [16]byte, dn string, mods ...Mod) error {
	key, err := Key(dn)
	if err != nil {
		return refuse(invalidDN, "invalid DN %q", dn)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.entries[t.byUUID[id]]
	if before == nil || !before.Buried {
		return refuse(noSuchObject, "nothing of this name is deleted")
	}
	if t.at(key) != nil {
		return refuse(alreadyExists, "the entry %q exists", dn)
	}
	if err := t.placeable(key); err != nil {
		return err
	}
	e := before.draft()
	e.DN, e.Key, e.Buried = dn, key, false
	rdn, _ := ParseDN(dn) // Key read it already
	e.Set(t.spell(rdn[0][0].Type), rdn[0][0].Value)
	for _, m := range mods {
		m.Name = t.spell(m.Name)
		if err := t.apply(e, m); err != nil {
			return err
		}
	}
	if t.o.Settle != nil {
		if err := t.o.Settle(before, e); err != nil {
			return err
		}
	}
	t.stamp(e, t.o.Now().UTC())
	t.put(before, e, Renamed, touchedBy(before, e), e.Changed)
	t.wake()
	return nil
}

func (t *Tree) drop(before *Entry) {
	now := t.o.Now().UTC()
	left := before.draft()
	if t.o.Bury == nil || before.Buried || !t.o.Bury(left) {
		t.number++
		t.put(before, nil, Deleted, nil, t.number)
	} else {
		left.Buried = true
		left.Key = looseKey(left.DN)
		t.stamp(left, now)
		t.put(before, left, Deleted, touchedBy(before, left), left.Changed)
	}
	t.follow(before.Key, nil)
	t.echo(before, nil)
}

func (t *Tree) stamp(e *Entry, now time.Time) {
	t.number++
	e.Changed, e.ChangedAt = t.number, now
}

// apply carries out a mod on a draft.
func (t *Tree) apply(e *Entry, m Mod) error {
	kind := t.o.Schema.Type(m.Name)
	have := e.Get(m.Name)
	find := func(v string) int {
		return slices.IndexFunc(have, func(h string) bool { return kind.Syntax.Equal(h, v) })
	}
	if twice(t.o.Schema, Attribute{m.Name, m.Values}) {
		return refuse(valueExists, "%s has a value twice", m.Name)
	}
	switch m.Op {
	case ReplaceValues:
		e.Set(m.Name, slices.Clone(m.Values)...)
	case AddValues:
		for _, v := range m.Values {
			if find(v) >= 0 {
				return refuse(valueExists, "%s has this value", m.Name)
			}
		}
		e.Set(m.Name, append(slices.Clone(have), m.Values...)...)
	case DeleteValues:
		if len(have) == 0 {
			return refuse(noSuchAttribute, "there is no %s", m.Name)
		}
		if len(m.Values) == 0 {
			e.Set(m.Name)
			return nil
		}
		have = slices.Clone(have)
		for _, v := range m.Values {
			i := find(v)
			if i < 0 {
				return refuse(noSuchAttribute, "%s has no such value", m.Name)
			}
			have = slices.Delete(have, i, i+1)
		}
		e.Set(m.Name, have...)
	case Increment:
		return increment(e, m)
	}
	return nil
}

func (t *Tree) holds(e *Entry, name, value string) bool {
	kind := t.o.Schema.Type(name)
	return slices.ContainsFunc(e.Get(name), func(v string) bool { return kind.Syntax.Equal(v, value) })
}

// twice reports a value that is given more than once.
func twice(s Schema, a Attribute) bool {
	seen := make(map[string]bool, len(a.Values))
	syntax := s.Type(a.Name).Syntax
	for _, v := range a.Values {
		k := syntax.Normal(v)
		if seen[k] {
			return true
		}
		seen[k] = true
	}
	return false
}
