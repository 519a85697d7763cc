package mapping

import (
	"slices"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/setting"
)

// Difference is what lies between two sets of rules. It maps a record by those rules
// alone that differ.
type Difference struct {
	Targets []string // whose rules differ, sorted
	Fresh   []string // of them, those there was no rule for before
	was, is *Mapping
}

// Between compares two sets of rules that are used with the same options. The error
// is that of Compile: rules of another time may not compile any more.
func Between(was, is map[string]setting.Rule, o Options) (*Difference, error) {
	d := &Difference{}
	before, after := map[string]setting.Rule{}, map[string]setting.Rule{}
	for _, rules := range []map[string]setting.Rule{was, is} {
		for name := range rules {
			if was[name] != is[name] && !slices.Contains(d.Targets, name) {
				d.Targets = append(d.Targets, name)
				before[name], after[name] = was[name], is[name]
			}
		}
	}
	slices.Sort(d.Targets)
	for _, name := range d.Targets {
		if _, ruled := was[name]; !ruled || was[name].None {
			d.Fresh = append(d.Fresh, name)
			delete(before, name)
		}
		if _, ruled := is[name]; !ruled {
			delete(after, name)
		}
	}
	var err error
	if d.was, err = compileSome(before, o); err != nil {
		return nil, err
	}
	d.is, err = compileSome(after, o)
	return d, err
}

// Manages reports whether there is a rule for a text field now, and it is another
// one than before.
func (d *Difference) Manages(f account.Field) bool { return d.is.Manages(f) }

// Map gives what the rules that differ made of a record, and what they make of it.
// Everything that other rules fill is empty in both.
func (d *Difference) Map(r *directory.Record, now time.Time) (was, is User) {
	return d.was.Map(r, now), d.is.Map(r, now)
}
