// Package tree is a directory in memory: entries under names, edits that number
// and date what they change, and filters over it. It hands entries on to the
// simulator, which shows them as one server or another would.
package tree

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Links is what becomes of the DNs by which other entries name one that is
// renamed or deleted.
type Links uint8

// The ways to treat them.
const (
	Leave  Links = iota // they stay and point nowhere
	Silent              // they are changed, and nothing says when
	Loud                // they are changed, and their entries get a new change number
)

// Options of a tree. Functions are called while the tree is locked and must not
// call it.
type Options struct {
	Schema Schema
	Links  Links
	// Suffixes are the DNs that need no entry above them. Orphans lets every DN do without.
	Suffixes []string
	Orphans  bool
	// Now dates changes; nil is time.Now.
	Now func() time.Time
	// Seed decides the UUIDs: of two trees made alike they are alike.
	Seed uint64
	// Number is the number before the first change's.
	Number int64
	// Echo is the attribute (in lower case) that is written to an entry when it
	// comes into a group or leaves it; "" writes nothing.
	Echo string
	// Settle may refuse or complete the draft of a new entry (before is nil) or a changed one.
	Settle func(before, draft *Entry) error
	// Bury turns the draft of an entry that is deleted into what is left of it, and
	// says whether anything is. Nil leaves nothing.
	Bury func(draft *Entry) bool
}

// Error is an edit that cannot be made, with the result code of RFC 4511.
type Error struct {
	Code    int
	Text    string
	Matched string // the nearest entry above one that is not there
}

func (e *Error) Error() string { return fmt.Sprintf("result %d: %s", e.Code, e.Text) }

// Result codes of edits and searches (RFC 4511, 4.1.9).
const (
	noSuchAttribute  = 16
	valueExists      = 20
	noSuchObject     = 32
	invalidDN        = 34
	namingViolation  = 64
	notAllowedOnNode = 66
	alreadyExists    = 68
)

func refuse(code int, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Tree is a directory in memory. Its methods may be called at any time.
type Tree struct {
	o        Options
	suffixes map[string]bool

	mu      sync.RWMutex
	entries map[int64]*Entry
	byKey   map[string]int64
	byUUID  map[[16]byte]int64
	order   []int64                       // of creation; ids of entries that are gone are skipped
	back    map[string]map[int64]struct{} // a key to the entries with links to it
	rng     *rand.Rand
	last    int64 // ID
	number  int64
	history []Change
	moved   chan struct{}
}

// New makes an empty tree.
func New(o Options) *Tree {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Schema == nil {
		o.Schema = NewSchema(Common)
	}
	t := &Tree{o: o, suffixes: map[string]bool{}, entries: map[int64]*Entry{}, byKey: map[string]int64{}, byUUID: map[[16]byte]int64{}, back: map[string]map[int64]struct{}{},
		rng: rand.New(rand.NewPCG(o.Seed, 0x51)), number: o.Number, moved: make(chan struct{})}
	for _, s := range o.Suffixes {
		t.suffixes[looseKey(s)] = true
	}
	return t
}

// Schema is the tree's.
func (t *Tree) Schema() Schema { return t.o.Schema }

// Now is the tree's clock.
func (t *Tree) Now() time.Time { return t.o.Now() }

// Number is the number of the last change.
func (t *Tree) Number() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.number
}

// Find gives the entry of a DN, or nil.
func (t *Tree) Find(dn string) *Entry {
	key, err := Key(dn)
	if err != nil {
		return nil
	}
	return t.Lookup(key)
}

// Lookup gives the entry of a key, or nil.
func (t *Tree) Lookup(key string) *Entry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.at(key)
}

func (t *Tree) at(key string) *Entry {
	if id, ok := t.byKey[key]; ok {
		return t.entries[id]
	}
	return nil
}

// Nearest gives the DN of the nearest entry above a key, or "".
func (t *Tree) Nearest(key string) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for key = ParentKey(key); key != ""; key = ParentKey(key) {
		if e := t.at(key); e != nil {
			return e.DN
		}
	}
	return ""
}

// Scope of a search (RFC 4511, 4.5.1.2).
type Scope int

// The scopes.
const (
	Base Scope = iota
	One
	Sub
)

// In reports whether a key lies in a scope of a base.
func (s Scope) In(key, base string) bool {
	switch s {
	case Base:
		return key == base
	case One:
		return key != base && ParentKey(key) == base
	default:
		return Below(key, base)
	}
}

// Walk calls fn for the entries in a scope, in order of creation, from the first
// whose ID is above after, until it returns false. The entries are those there
// were when it began.
func (t *Tree) Walk(base string, scope Scope, after int64, fn func(*Entry) bool) {
	for _, e := range t.list(base, scope, after) {
		if !fn(e) {
			return
		}
	}
}

func (t *Tree) list(base string, scope Scope, after int64) []*Entry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if scope == Base {
		if e := t.at(base); e != nil && e.ID > after {
			return []*Entry{e}
		}
		return nil
	}
	from, found := slices.BinarySearch(t.order, after)
	if found {
		from++
	}
	var out []*Entry
	for _, id := range t.order[from:] {
		if e := t.entries[id]; e != nil && scope.In(e.Key, base) {
			out = append(out, e)
		}
	}
	return out
}

// Referring gives the DNs of the entries that name a key in an attribute, in
// order of their creation.
func (t *Tree) Referring(key, attribute string) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	ids := make([]int64, 0, len(t.back[key]))
	for id := range t.back[key] {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var out []string
	for _, id := range ids {
		e := t.entries[id]
		if slices.ContainsFunc(e.Get(attribute), func(v string) bool { return looseKey(v) == key }) {
			out = append(out, e.DN)
		}
	}
	return out
}

// ByUUID gives an entry by its UUID, or nil.
func (t *Tree) ByUUID(id [16]byte) *Entry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if n, ok := t.byUUID[id]; ok {
		return t.entries[n]
	}
	return nil
}

// uuid makes a random UUID (RFC 9562, version 4).
func (t *Tree) uuid() (u [16]byte) {
	for i := range u {
		u[i] = byte(t.rng.Uint32())
	}
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u
}

// FormatUUID writes a UUID as 8-4-4-4-12 hexadecimal digits.
func FormatUUID(u [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// ParseUUID reads what FormatUUID writes.
func ParseUUID(text string) (u [16]byte, ok bool) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(text) != 36 || len(b) != 16 {
		return u, false
	}
	return [16]byte(b), true
}
