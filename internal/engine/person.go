package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// ByPerson is the trigger, and the method of reading, of a run that reads one
// person.
const ByPerson = "person"

// Pick refuses what a run that reads one person would refuse: a source that cannot
// do it, a directory that cannot be reached, and a word that leads to several.
// Nobody at all is none of that: the run says so.
func (e *Engine) Pick(ctx context.Context, c setting.Connection, who string) error {
	c, err := e.Settled(ctx, c)
	if err != nil {
		return err
	}
	if strings.TrimSpace(who) == "" {
		return fault.New(fault.Invalid, "nobody is named to be read").WithHint("give a name, DN, e-mail address or external ID")
	}
	kind, src, err := e.open(ctx, c)
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // nothing depends on it any more
	preset, err := src.Preset(ctx)
	if err != nil {
		return err
	}
	r, err := e.compile(c, kind, preset)
	if err != nil {
		return err
	}
	state, err := e.Store.Leases().State(ctx, c.Alias)
	if err != nil {
		return err
	}
	if err := readBefore(c, state, r); err != nil {
		return err
	}
	_, err = single{Source: src, who: who, alias: c.Alias}.find(ctx, r.mapping.Attributes())
	return err
}

// readBefore refuses to read one person where everybody has to be planned: nothing
// was read yet, or the rules are others since.
func readBefore(c setting.Connection, state State, r *rules) error {
	if state.Rules == r.fingerprint {
		return nil
	}
	why := "its rules changed since its last applied run"
	if state.Rules == "" {
		why = "no run of it was applied yet"
	}
	return fault.New(fault.Conflict, "connection %s: one person cannot be read: %s", c.Alias, why).
		WithHint("run it as a whole first: `rollcall sync %s`", c.Alias)
}

// single is a source whose readings bring one person, as a reading of changes in
// which nothing else is told of.
type single struct {
	source.Source
	who   string
	alias string
}

// Unwrap lets abilities be found.
func (s single) Unwrap() source.Source { return s.Source }

// find reads the person; there may be none.
func (s single) find(ctx context.Context, attributes []string) (*directory.Record, error) {
	looker, ok := source.As[source.Looker](s.Source)
	if !ok {
		return nil, fault.New(fault.Invalid, "connection %s: its kind of source cannot read one person alone", s.alias).
			WithHint("run it as a whole: `rollcall sync %s`", s.alias)
	}
	var found []directory.Record
	err := looker.Look(ctx, s.who, attributes, func(r *directory.Record) error {
		kept, err := cloned(r)
		kept.Password = r.Password
		found = append(found, kept)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, nil
	case len(found) > 1:
		names := make([]string, len(found))
		for i := range found {
			names[i] = found[i].Name
		}
		slices.Sort(names)
		return nil, fault.New(fault.Conflict, "%q leads to %d people: %s", s.who, len(found), strings.Join(names, "; ")).
			WithHint("say which one by DN or external ID")
	}
	return &found[0], nil
}

// Read brings the person. Whoever is not found is not told of: nobody goes by it.
func (s single) Read(ctx context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
	out := source.Reading{Complete: true, Method: ByPerson}
	r, err := s.find(ctx, req.Attributes)
	if err != nil {
		return out, err
	}
	if r == nil {
		out.Notes = append(out.Notes, fmt.Sprintf("Nobody of those who are read is called %q; nothing was removed for that.", s.who))
		out.Notes = append(out.Notes, s.reasons(ctx)...)
		return out, nil
	}
	out.Users = 1
	out.Notes = append(out.Notes, fmt.Sprintf("One person was read: %s. The members of groups were not.", r.Name))
	return out, emit(r)
}

// reasons says why somebody is not among those who are read, where the source knows.
func (s single) reasons(ctx context.Context) (out []string) {
	finder, ok := source.As[source.Finder](s.Source)
	if !ok {
		return nil
	}
	found, err := finder.Find(ctx, s.who)
	if err != nil {
		return []string{"Why could not be asked: " + err.Error()}
	}
	for _, f := range found {
		for _, c := range f.Clauses {
			if !c.Holds {
				out = append(out, fmt.Sprintf("There is an entry %s, but %s.", f.Name, c.Detail))
			}
		}
	}
	if len(found) == 0 {
		out = append(out, "The directory has no such entry.")
	}
	return out
}
