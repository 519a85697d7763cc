package tree

import (
	"slices"
	"strings"
	"time"
)

// Attribute is one attribute with its values, in the order they were given.
// Values are bytes.
type Attribute struct {
	Name   string
	Values []string
}

// Entry is one entry as it is at one time. What the tree hands out is shared
// and must not be changed; an edit puts another Entry in its place.
type Entry struct {
	ID    int64    // in order of creation; never given twice
	UUID  [16]byte // never changes
	DN    string   // as written
	Key   string   // of the DN, see Key
	Attrs []Attribute
	// Created and Changed are the numbers of the changes that made the entry and
	// that it was last stamped with; CreatedAt and ChangedAt are their times.
	Created, Changed     int64
	CreatedAt, ChangedAt time.Time
	// Buried marks what is left of an entry that was deleted.
	Buried bool
}

// Get gives the values of an attribute by its exact description, or nil.
func (e *Entry) Get(name string) []string {
	if i := e.index(name); i >= 0 {
		return e.Attrs[i].Values
	}
	return nil
}

// First gives the first value of an attribute, or "".
func (e *Entry) First(name string) string {
	if v := e.Get(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Has reports whether an attribute has a value, without regard to case.
func (e *Entry) Has(name, value string) bool {
	return slices.ContainsFunc(e.Get(name), func(v string) bool { return strings.EqualFold(v, value) })
}

// Set puts values in place of an attribute's; none takes the attribute away. It
// is for drafts: entries that are not in the tree yet.
func (e *Entry) Set(name string, values ...string) {
	i := e.index(name)
	switch {
	case len(values) == 0 && i >= 0:
		e.Attrs = slices.Delete(e.Attrs, i, i+1)
	case len(values) == 0:
	case i >= 0:
		e.Attrs[i].Values = values
	default:
		e.Attrs = append(e.Attrs, Attribute{Name: name, Values: values})
	}
}

func (e *Entry) index(name string) int {
	return slices.IndexFunc(e.Attrs, func(a Attribute) bool { return strings.EqualFold(a.Name, name) })
}

// draft is a copy that may be changed.
func (e *Entry) draft() *Entry {
	c := *e
	c.Attrs = make([]Attribute, len(e.Attrs))
	for i, a := range e.Attrs {
		c.Attrs[i] = Attribute{Name: a.Name, Values: slices.Clone(a.Values)}
	}
	return &c
}

// AttributeList makes attributes of name, value, name, value. Values of one name
// are gathered in the place of the first.
func AttributeList(pairs ...string) []Attribute {
	var e Entry
	for i := 0; i+1 < len(pairs); i += 2 {
		e.Set(pairs[i], append(slices.Clone(e.Get(pairs[i])), pairs[i+1])...)
	}
	return e.Attrs
}
