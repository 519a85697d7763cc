package simulator

import (
	"strings"

	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
)

// search is one search under way.
type search struct {
	*answer
	q      *wire.Search
	r      *wire.Request
	base   string // the key of the base
	top    *tree.Entry
	schema tree.Schema
	picked selection
}

// run answers the search and gives its final result.
func (s *search) run() wire.Result {
	if s.twist.Instead != nil && s.twist.Deed != Stop {
		return *s.twist.Instead
	}
	role := s.c.s.role
	if oid := s.c.unknownControl(s.r); oid != "" {
		return wire.Result{Code: wire.UnavailableCritical, Text: "critical control " + oid + " is not available"}
	}
	s.schema = s.c.s.Tree.Schema()
	s.picked = choose(s.q.Attributes)
	if s.q.Base == "" && s.q.Scope == tree.Base {
		return s.root()
	}
	var err error
	if s.base, err = role.resolve(s.q.Base); err != nil {
		return wire.ResultFor(err)
	}
	return role.search(s)
}

// root answers for the root DSE (RFC 4512, 5.1), which everybody may see.
func (s *search) root() wire.Result {
	role := s.c.s.role
	if refused := role.mayAskRoot(s); refused != nil {
		return *refused
	}
	e := &tree.Entry{Attrs: role.rootDSE(s.c)}
	if s.q.Filter.Match(s.schema, rootView{e}) != tree.True {
		return wire.Result{}
	}
	var out []tree.Attribute
	for _, a := range e.Attrs {
		if s.picked.wants(s.schema, a.Name, role.rootOperational(a.Name)) {
			out = append(out, a)
		}
	}
	if err := s.entry(s.frame("", out), false); err != nil {
		return wire.Result{}
	}
	return wire.Result{}
}

// rootView is the root DSE as a filter sees it.
type rootView struct{ *tree.Entry }

func (rootView) DN() string                    { return "" }
func (rootView) At(string) tree.View           { return nil }
func (rootView) Expand(_, value string) string { return value }

// Values gives an attribute. A class is there for filters, also where a server
// shows none.
func (v rootView) Values(name string) []string {
	if values := v.Get(name); len(values) > 0 || !strings.EqualFold(name, "objectClass") {
		return values
	}
	return []string{"top"}
}

// frame writes an entry, without values where only types are asked for.
func (s *search) frame(dn string, attributes []tree.Attribute, controls ...wire.Control) []byte {
	if s.q.TypesOnly {
		for i := range attributes {
			attributes[i].Values = nil
		}
	}
	return wire.Entry(s.id, dn, attributes, controls...)
}

// matches reports whether an entry is within scope and filter.
func (s *search) matches(e *tree.Entry) bool {
	return s.q.Scope.In(e.Key, s.base) && s.q.Filter.Match(s.schema, s.view(e)) == tree.True
}

func (s *search) view(e *tree.Entry) tree.View { return view{role: s.c.s.role, e: e} }

// send sends an entry with what was asked for of it.
func (s *search) send(e *tree.Entry, flush bool, controls ...wire.Control) error {
	return s.entry(s.frame(e.DN, s.attributes(e), controls...), flush)
}

// exists looks for the base, unless it is the root.
func (s *search) exists() *wire.Result {
	if s.base == "" {
		return nil
	}
	if s.top = s.c.s.Tree.Lookup(s.base); s.top == nil || !s.c.s.role.visible(s, s.top) {
		return &wire.Result{Code: wire.NoSuchObject, Matched: s.c.s.Tree.Nearest(s.base), Text: s.c.s.role.missing()}
	}
	return nil
}

// limits are what a server does to a plain search.
type limits struct {
	size     int  // entries without paging, 0 is no limit
	page     int  // entries of a page
	total    int  // entries over all pages, 0 is no limit
	noPaging bool // the paging control is ignored
	refuses  bool // a page size above page is refused and not cut
	foreign  func(s *search, cookie string) (page, *wire.Result)
	// visible says what may be seen of what matches; nil is everything.
	visible func(e *tree.Entry) bool
	// ends is called behind the last entry, for references.
	ends func() error
}

// plain answers a search by going through the tree.
func (s *search) plain(l limits) wire.Result {
	if missing := s.exists(); missing != nil {
		return *missing
	}
	if c := s.r.Control(wire.OIDPaging); c != nil && !l.noPaging {
		return s.paged(c, l)
	}
	most := smaller(l.size, int(s.q.SizeLimit))
	_, result, err := s.stretch(0, most, l)
	if err == nil && result.Code == wire.Success && l.ends != nil {
		err = l.ends()
	}
	if err != nil {
		return wire.Result{}
	}
	if result.Code == more {
		return wire.Result{Code: wire.SizeLimitExceeded, Text: s.c.s.role.overLimit()}
	}
	return result
}

// more is no result code: there would have been another entry.
const more = -1

// stretch sends entries whose ID is above after, at most so many, and gives the
// last one's ID. The result is code more where there is at least one besides.
func (s *search) stretch(after int64, most int, l limits) (last int64, result wire.Result, err error) {
	sent := 0
	last = after
	s.c.s.Tree.Walk(s.base, s.q.Scope, after, func(e *tree.Entry) bool {
		if s.ctx.Err() != nil {
			err = errCut
			return false
		}
		if l.visible != nil && !l.visible(e) || !s.c.s.role.visible(s, e) || s.q.Filter.Match(s.schema, s.view(e)) != tree.True {
			return true
		}
		if most > 0 && sent == most {
			result.Code = more
			return false
		}
		if refused := s.c.s.role.refuseEntry(s, e); refused != nil {
			result = *refused
			return false
		}
		if err = s.send(e, false); err != nil {
			return false
		}
		last = e.ID
		sent++
		return true
	})
	return last, result, err
}

// smaller is the smaller of two limits, of which 0 is none.
func smaller(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
