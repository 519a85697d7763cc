package tree

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind of a change.
type Kind uint8

// The kinds of changes.
const (
	Added Kind = iota
	Modified
	Renamed // or moved, or brought back
	Deleted
)

// Change is one edit of one entry.
type Change struct {
	Seq    int64 // counts every edit from 1
	Number int64 // the entry's new change number; 0 where it was not stamped
	At     time.Time
	Kind   Kind
	Before *Entry // nil of an added entry
	After  *Entry // nil of a deleted entry of which nothing is left
	// Touched are the attributes that were written, in lower case, also where they
	// came out as they were.
	Touched []string
}

// Entry is the entry as it became, or as it last was.
func (c *Change) Entry() *Entry {
	if c.After != nil {
		return c.After
	}
	return c.Before
}

// put takes an entry's new form (nil: gone) in place of the one before (nil: new).
func (t *Tree) put(before, after *Entry, kind Kind, touched []string, number int64) {
	if before != nil {
		t.unlink(before)
		delete(t.byKey, before.Key)
		delete(t.byUUID, before.UUID)
		if after == nil {
			delete(t.entries, before.ID)
		}
	}
	if after != nil {
		t.entries[after.ID] = after
		t.byKey[after.Key] = after.ID
		t.byUUID[after.UUID] = after.ID
		t.link(after)
	}
	at := t.o.Now().UTC()
	if after != nil && number != 0 {
		at = after.ChangedAt
	}
	t.history = append(t.history, Change{Seq: int64(len(t.history)) + 1, Number: number, At: at, Kind: kind, Before: before, After: after, Touched: touched})
}

// wake tells those who wait for changes.
func (t *Tree) wake() {
	close(t.moved)
	t.moved = make(chan struct{})
}

// Since gives the changes behind a Seq, and a channel that is closed at the next.
func (t *Tree) Since(seq int64) ([]Change, <-chan struct{}) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Clip(t.history[min(max(seq, 0), int64(len(t.history))):]), t.moved
}

// Last gives the last change that has a number.
func (t *Tree) Last() Change {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for i := len(t.history) - 1; i >= 0; i-- {
		if t.history[i].Number != 0 {
			return t.history[i]
		}
	}
	return Change{}
}

// Stamped gives the changes whose number is above one, without silent ones.
func (t *Tree) Stamped(number int64) []Change {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []Change
	for i := len(t.history) - 1; i >= 0; i-- {
		switch c := t.history[i]; {
		case c.Number == 0:
		case c.Number > number:
			out = append(out, c)
		default:
			slices.Reverse(out)
			return out
		}
	}
	slices.Reverse(out)
	return out
}

// links calls fn for every key an entry's links name.
func (t *Tree) links(e *Entry, fn func(key string)) {
	for _, a := range e.Attrs {
		if !t.o.Schema.Type(a.Name).Link {
			continue
		}
		for _, v := range a.Values {
			fn(looseKey(v))
		}
	}
}

func (t *Tree) link(e *Entry) {
	t.links(e, func(key string) {
		if t.back[key] == nil {
			t.back[key] = map[int64]struct{}{}
		}
		t.back[key][e.ID] = struct{}{}
	})
}

func (t *Tree) unlink(e *Entry) {
	t.links(e, func(key string) {
		if delete(t.back[key], e.ID); len(t.back[key]) == 0 {
			delete(t.back, key)
		}
	})
}

// follow changes the links to an entry that was renamed, or deleted where now is nil.
func (t *Tree) follow(key string, now *Entry) {
	if t.o.Links == Leave {
		return
	}
	ids := make([]int64, 0, len(t.back[key]))
	for id := range t.back[key] {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		before := t.entries[id]
		e := before.draft()
		var touched []string
		for i := range before.Attrs {
			a := before.Attrs[i]
			if !t.o.Schema.Type(a.Name).Link {
				continue
			}
			var values []string
			for _, v := range a.Values {
				switch {
				case looseKey(v) != key:
					values = append(values, v)
				case now != nil:
					values = append(values, now.DN)
				}
			}
			if !slices.Equal(values, a.Values) {
				e.Set(a.Name, values...)
				touched = append(touched, strings.ToLower(a.Name))
			}
		}
		if len(touched) == 0 {
			continue
		}
		number := int64(0)
		if t.o.Links == Loud {
			t.stamp(e, t.o.Now().UTC())
			number = e.Changed
		}
		t.put(before, e, Modified, touched, number)
	}
}

// echo stamps the entries that a change took into a group or out of it.
func (t *Tree) echo(before, after *Entry) {
	if t.o.Echo == "" {
		return
	}
	members := func(e *Entry) map[string]bool {
		out := map[string]bool{}
		if e != nil && !e.Buried {
			for _, v := range e.Get("member") {
				out[looseKey(v)] = true
			}
		}
		return out
	}
	was, is := members(before), members(after)
	var moved []int64
	for _, side := range [][2]map[string]bool{{was, is}, {is, was}} {
		for key := range side[0] {
			if id, ok := t.byKey[key]; ok && !side[1][key] {
				moved = append(moved, id)
			}
		}
	}
	slices.Sort(moved)
	for _, id := range moved {
		member := t.entries[id]
		e := member.draft()
		t.stamp(e, t.o.Now().UTC())
		t.put(member, e, Modified, []string{t.o.Echo}, e.Changed)
	}
}

// touchedBy names the attributes that differ between two forms of an entry.
func touchedBy(before, after *Entry) []string {
	var out []string
	for _, a := range after.Attrs {
		if before == nil || !slices.Equal(before.Get(a.Name), a.Values) {
			out = append(out, strings.ToLower(a.Name))
		}
	}
	if before == nil {
		return out
	}
	for _, a := range before.Attrs {
		if after.index(a.Name) < 0 {
			out = append(out, strings.ToLower(a.Name))
		}
	}
	return out
}

// increment carries out RFC 4525 on a draft.
func increment(e *Entry, m Mod) error {
	if len(m.Values) != 1 {
		return refuse(protocolError, "one number is added")
	}
	by, err := strconv.ParseInt(m.Values[0], 10, 64)
	have := e.Get(m.Name)
	if err != nil || len(have) == 0 {
		return refuse(noSuchAttribute, "%s cannot be counted up", m.Name)
	}
	out := make([]string, len(have))
	for i, v := range have {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return refuse(noSuchAttribute, "%s cannot be counted up", m.Name)
		}
		out[i] = strconv.FormatInt(n+by, 10)
	}
	e.Set(m.Name, out...)
	return nil
}

const protocolError = 2
