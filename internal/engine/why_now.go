package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/source"
)

// askedFor is how long the directory is asked at the most, about everybody that one
// word names.
const askedFor = 20 * time.Second

// directoryNow is the step in which the directory itself is asked.
const directoryNow = "directory now"

// ask looks for somebody in the directory as it is now, without the filter. Where it
// cannot be asked, unasked says why.
func (x *explainer) ask(who string) (found []source.Found, unasked string) {
	if x.unreachable != nil {
		return nil, "could not be asked: " + x.unreachable.Error()
	}
	finder, ok := source.As[source.Finder](x.src)
	if !ok {
		return nil, "cannot be asked: this kind of source does not look for one entry"
	}
	if x.until.IsZero() {
		x.until = time.Now().Add(askedFor)
	}
	ctx, stop := context.WithDeadline(x.ctx, x.until)
	defer stop()
	found, err := finder.Find(ctx, who)
	if err != nil {
		return nil, "could not be asked: " + err.Error()
	}
	return found, ""
}

// tell makes steps of what was found, and gives what keeps an entry from being read: ""
// for one that would be.
func (w *Why) tell(f source.Found) (kept string) {
	name := f.Name
	w.Entry = &name
	w.Steps = append(w.Steps, step(directoryNow, true, "there is an entry "+f.Name))
	var all []string
	for _, clause := range f.Clauses {
		w.Steps = append(w.Steps, step(clause.Name, clause.Holds, clause.Detail))
		if !clause.Holds {
			all = append(all, clause.Detail)
		}
	}
	return strings.Join(all, ", and ")
}

// gone says of an entry that the mirror has no more whether it left the directory, or
// only what is read of it.
func (x *explainer) gone(w *Why, row *mirror.Row) error {
	who := string(row.ExternalID)
	if who == "" {
		who = row.Name
	}
	found, unasked := x.ask(who)
	if unasked != "" {
		w.Steps = append(w.Steps, WhyStep{Step: directoryNow, Detail: unasked})
		w.Answer = fmt.Sprintf("Not in: the last reading of %s no longer brought the entry, and the directory itself cannot be asked now.", x.c.Alias)
		return nil
	}
	found, err := x.same(row, found)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		w.Steps = append(w.Steps, step(directoryNow, false, "the directory, asked just now, has no such entry"))
		w.Answer = "Not in: the entry is no longer in the directory."
		return nil
	}
	for _, f := range found {
		if kept := w.tell(f); kept != "" {
			w.Answer = fmt.Sprintf("Not in: the entry %s is there, but %s.", f.Name, kept)
		}
	}
	if w.Answer == "" {
		w.Answer = fmt.Sprintf("Not in: the last reading did not bring the entry %s, but it is there now; the next one should.", found[0].Name)
	}
	return nil
}

// same leaves out entries that are somebody else's: what is one's external ID may be
// another's name.
func (x *explainer) same(row *mirror.Row, found []source.Found) ([]source.Found, error) {
	var out []source.Found
	for _, f := range found {
		refs := x.kind.Refs(f.Name)
		if slices.Contains(refs, row.Ref) {
			return []source.Found{f}, nil
		}
		var keys []directory.Digest
		for _, ref := range refs {
			more, err := x.e.Store.Accounts().Entries(x.ctx, x.c.Alias, ref)
			if err != nil {
				return nil, err
			}
			keys = append(keys, more...)
		}
		rows, err := x.e.Store.Mirror().Rows(x.ctx, x.c.Alias, keys)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(rows, func(r mirror.Row) bool { return !r.Gone }) {
			out = append(out, f)
		}
	}
	return out, nil
}
