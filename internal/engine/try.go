package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// TryQuery says what to try rules on.
type TryQuery struct {
	Who   string // a name, DN, e-mail or external ID; "" takes the first people there are
	Limit int    // how many entries to show
	Tally bool   // count over everybody as well
}

// Trial is what rules make of people: entry by entry, and of everybody.
type Trial struct {
	Entries []TrialEntry `json:"entries"`
	Tally   *TrialTally  `json:"tally"`
	// From is what was counted over: "mirror", the last reading, or "directory", read
	// for this, where the rules need what the mirror does not hold.
	From  string   `json:"from"`
	Notes []string `json:"notes"` // what a person should know
}

// Try applies a connection's rules as they are and as they would be to live
// entries, and keeps nothing. Entries come from the directory itself where the
// source can read single ones, from the mirror otherwise. People are taken one
// batch at a time, however many there are.
func (e *Engine) Try(ctx context.Context, c, then setting.Connection, q TryQuery) (*Trial, error) {
	kind, src, err := e.open(ctx, then)
	if err != nil {
		return nil, err
	}
	defer src.Close() //nolint:errcheck // nothing depends on it any more
	preset, err := src.Preset(ctx)
	if err != nil {
		return nil, err
	}
	t := &trial{e: e, c: c, kind: kind, src: src, q: q, at: e.now(), out: &Trial{Entries: []TrialEntry{}, Notes: []string{}}}
	if t.then, err = e.compile(then, kind, preset); err != nil {
		return nil, err
	}
	if err := shown(t.then); err != nil {
		return nil, err
	}
	t.now, err = e.compile(c, kind, preset)
	if err == nil {
		err = shown(t.now)
	}
	if err != nil {
		t.now = nil
		t.out.Notes = append(t.out.Notes, "The rules as they are cannot be applied: "+err.Error())
	}
	t.fields = fieldsOf(t.now, t.then)
	t.rules[0], t.rules[1], t.starting = merge(c, preset), merge(then, preset), then.Mapping
	if err := t.count(ctx); err != nil {
		return nil, err
	}
	if err := t.entries(ctx); err != nil {
		return nil, err
	}
	if q.Tally {
		t.out.Tally = t.tally()
	}
	return t.out, nil
}

// shown refuses rules that would show what nobody is shown.
func shown(r *rules) error {
	for _, name := range r.mapping.Attributes() {
		if directory.Secret(name) {
			return fault.New(fault.Invalid, "mapping: the attribute %s may hold a secret; it is not shown, and no rule is tried with it", name)
		}
	}
	return nil
}

// fieldsOf are the fields there is a rule for now or then: text fields first, in
// their usual order.
func fieldsOf(now, then *rules) []string {
	var out []string
	for _, r := range []*rules{then, now} {
		if r == nil {
			continue
		}
		for _, name := range r.mapping.Targets() {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// trialBatch is how many people are mapped at once.
const trialBatch = 500

var errEnough = errors.New("enough")

// inMirror reports that the mirror was read with what both sets of rules take.
func (t *trial) inMirror(ctx context.Context) (bool, error) {
	state, err := t.e.Store.Leases().State(ctx, t.c.Alias)
	if err != nil || t.now == nil || state.Rules != t.now.fingerprint {
		return false, err
	}
	held := t.now.mapping.Attributes()
	for _, name := range t.then.mapping.Attributes() {
		if !slices.ContainsFunc(held, func(a string) bool { return strings.EqualFold(a, name) }) {
			return false, nil
		}
	}
	return true, nil
}

// count goes over everybody, or over as many as are to be shown where nothing is
// counted.
func (t *trial) count(ctx context.Context) error {
	if !t.q.Tally && t.q.Who != "" {
		return nil
	}
	mirrored, err := t.inMirror(ctx)
	if err != nil {
		return err
	}
	if t.out.From = "directory"; mirrored {
		t.out.From = "mirror"
		err = t.overMirror(ctx)
	} else {
		err = t.overDirectory(ctx)
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (t *trial) overMirror(ctx context.Context) error {
	return t.e.Store.Mirror().People(ctx, Selection{Connection: t.c.Alias, All: true, Batch: trialBatch}, func(rows []mirror.Row) error {
		batch := make([]directory.Record, 0, len(rows))
		for i := range rows {
			if rows[i].Gone {
				continue
			}
			var r directory.Record
			if err := r.Decode(rows[i].Record); err != nil {
				return err
			}
			batch = append(batch, r)
		}
		return t.take(ctx, batch)
	})
}

// overDirectory reads everybody, with the attributes of both sets of rules, and
// keeps nothing of it.
func (t *trial) overDirectory(ctx context.Context) error {
	wanted := t.then.mapping.Attributes()
	if t.now != nil {
		for _, name := range t.now.mapping.Attributes() {
			if !slices.ContainsFunc(wanted, func(a string) bool { return strings.EqualFold(a, name) }) {
				wanted = append(wanted, name)
			}
		}
	}
	var batch []directory.Record
	reading, err := t.src.Read(ctx, source.Request{Attributes: wanted, Now: t.at}, func(r *directory.Record) error {
		if r.Kind != directory.User {
			return nil
		}
		kept, err := cloned(r)
		if err != nil {
			return err
		}
		if batch = append(batch, kept); len(batch) < trialBatch && (t.q.Tally || len(batch) < t.q.Limit) {
			return nil
		}
		err = t.take(ctx, batch)
		batch = batch[:0]
		return err
	})
	if err != nil {
		return err
	}
	if !reading.Complete {
		t.out.Notes = append(t.out.Notes, "The reading was not complete: "+reading.Reason)
	}
	return t.take(ctx, batch)
}

// cloned is a record that the source does not use again.
func cloned(r *directory.Record) (directory.Record, error) {
	var out directory.Record
	err := out.Decode(r.Append(nil))
	return out, err
}

// entries shows those asked for.
func (t *trial) entries(ctx context.Context) error {
	if t.q.Who != "" {
		return t.named(ctx)
	}
	for i := range t.first {
		r := &t.first[i]
		live, err := t.look(ctx, r.Name)
		if err != nil {
			return err
		}
		if at := slices.IndexFunc(live, func(l directory.Record) bool { return l.ID == r.ID }); at >= 0 {
			t.show(&live[at], true)
			continue
		}
		t.show(r, t.out.From == "directory")
	}
	return nil
}

// named shows the people a word leads to.
func (t *trial) named(ctx context.Context) error {
	live, err := t.look(ctx, t.q.Who)
	if err != nil {
		return err
	}
	for i := range live[:min(len(live), t.q.Limit)] {
		t.show(&live[i], true)
	}
	if len(live) > 0 {
		return nil
	}
	rows, err := t.e.entriesNamed(ctx, t.c, t.kind, t.q.Who)
	if err != nil {
		return err
	}
	for i := range rows {
		var r directory.Record
		if rows[i].Gone || len(t.out.Entries) >= t.q.Limit {
			continue
		}
		if err := r.Decode(rows[i].Record); err != nil {
			return err
		}
		t.show(&r, false)
	}
	if len(t.out.Entries) == 0 {
		t.out.Notes = append(t.out.Notes, fmt.Sprintf("Nobody of those who are read is called %q.", t.q.Who))
	}
	return nil
}

// look reads single people from the directory itself. Where that cannot be, what
// the mirror holds of them has to do.
func (t *trial) look(ctx context.Context, who string) ([]directory.Record, error) {
	looker, ok := source.As[source.Looker](t.src)
	if !ok || t.away {
		return nil, nil
	}
	var out []directory.Record
	err := looker.Look(ctx, who, nil, func(r *directory.Record) error {
		kept, err := cloned(r)
		out = append(out, kept)
		return err
	})
	if err != nil && ctx.Err() == nil {
		t.away = true
		t.out.Notes = append(t.out.Notes, "What is shown is of the last reading: "+err.Error())
		return nil, nil
	}
	return out, err
}
