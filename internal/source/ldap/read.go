package ldap

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// Read reads what changed since the cursor, or everything: where there is no
// cursor, where it does not fit any more, and where a full reading is due.
func (s *ldapSource) Read(ctx context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
	if b, err := decodeBookmark(req.From); err == nil {
		s.set.before = b.At
	}
	var r *reading
	c, err := s.set.connectTo(ctx, func(c *conn) (err error) {
		r, err = s.begin(c, req, emit)
		return err
	})
	if err != nil {
		return source.Reading{}, err
	}
	p := &passage{set: s.set, ctx: ctx, req: req, c: c}
	defer func() { p.c.close() }()
	if p.req.Now.IsZero() {
		p.req.Now = time.Now()
	}
	r.progress, r.known, r.soon = req.Progress, req.Known, req.Soon
	if err := r.readDenied(); err != nil {
		return source.Reading{}, err
	}
	return p.run(r)
}

// begin asks a server what it is, and makes sure that it is not behind the last reading.
func (s *ldapSource) begin(c *conn, req source.Request, emit func(*directory.Record) error) (*reading, error) {
	d, err := c.readRoot()
	if err != nil {
		return nil, s.set.explain("read the root DSE", err)
	}
	if s.preset != nil {
		if err := s.set.same(*s.preset, d); err != nil {
			return nil, err
		}
	}
	r, err := newReading(c, s.set, d, req.Attributes, emit)
	if err != nil {
		return nil, err
	}
	return r, r.compareState(req.From)
}

// passage is one call of Read.
type passage struct {
	set    *settings
	ctx    context.Context
	req    source.Request
	c      *conn
	choice choice
}

func (p *passage) run(r *reading) (source.Reading, error) {
	p.choice = r.choose()
	if p.req.From != nil {
		var no *unusable
		err := p.changes(r)
		if err == nil {
			return r.end(), nil
		}
		if !errors.As(err, &no) {
			return source.Reading{}, err
		}
		if no != errNotFollowed {
			r.note("Everything was read: " + no.why + ".")
		}
		if err := p.anew(r); err != nil {
			return source.Reading{}, err
		}
	}
	if err := p.everything(r); err != nil {
		return source.Reading{}, p.moved(r, err)
	}
	return r.end(), nil
}

// moved says of a base that is not there what it is called now. The bookmark of the
// last reading has its external ID.
func (p *passage) moved(r *reading, err error) error {
	var answer *resultError
	if !errors.As(err, &answer) || answer.code != codeNoSuchObject {
		return err
	}
	b, no := decodeBookmark(p.req.From)
	if no != nil {
		return err
	}
	halves, no := r.halves()
	if no != nil {
		return err
	}
	f := finder{c: r.c, set: p.set, base: r.base}
	for i, setting := range []string{"base_dn", "groups.base_dn"}[:len(halves)] {
		base := halves[i].query.base
		value := anchorValue(r.anchor, b.Bases[Refer(base)])
		if value == "" {
			continue
		}
		q := query{base: r.contextOf(base), scope: scopeSub, filter: compare(filterEqual, r.anchor, value)}
		// It is for the hint alone: that it cannot be found changes nothing.
		found, no := f.search(q, true)
		if no == nil && len(found) == 1 && Refer(found[0]) != Refer(base) {
			return fault.New(fault.KindOf(err), "%w", err).
				WithHint("The entry that was %s at the last reading is called %s now: set %s to that, or rename it back.", quoted(base), quoted(found[0]), setting)
		}
	}
	return err
}

// changes reads what changed. An *unusable is returned before anything was
// handed on.
func (p *passage) changes(r *reading) error {
	b, err := decodeBookmark(p.req.From)
	if err != nil {
		return err
	}
	t, err := p.fits(r, b)
	if err != nil {
		return err
	}
	halves, err := r.halves()
	if err != nil {
		return err
	}
	bases, err := r.bases(halves)
	if err != nil {
		return err
	}
	if !maps.Equal(bases, b.Bases) {
		return cannot("the entry below which is read is another than at the last reading")
	}
	_, every, err := r.unseen(t, halves)
	if err != nil {
		return err
	}
	changed, err := t.find(r, b, halves)
	if err != nil {
		return err
	}
	r.changes, r.newcomers.groups = true, map[directory.ExternalID]bool{}
	r.out.Method = t.name()
	sweep := r.sweepDue(b, every, p.req.Sweep, p.req.Now)
	for _, f := range changed {
		// What was not named is gone everywhere, or nowhere.
		sweep = sweep || f.named || f.doubtful
	}
	for i, h := range halves {
		if h.kind == directory.Group && r.logins != nil {
			// Whoever was given another login is another member: nothing of the groups tells.
			err = r.whole(h)
		} else {
			err = r.apply(h, changed[i], sweep)
		}
		if err != nil {
			return err
		}
	}
	// What comes with this may be new itself.
	for known, groups := len(b.Members) > 0, halves[len(halves)-1]; ; {
		if known {
			b.meet(halves)
		}
		if len(r.newcomers.dns)+len(r.newcomers.keys) == 0 && !r.pending() {
			break
		}
		if err := r.enrol(halves); err != nil {
			return err
		}
		if err := r.regroup(groups, b.Members); err != nil {
			return err
		}
		if err := r.follow(groups); err != nil {
			return err
		}
	}
	r.out.Regrouped = r.set.groups != nil
	r.out.Swept, b.At = sweep, r.c.srv.String()
	if sweep {
		b.SweptAt = p.req.Now
	}
	if b.State, err = r.endState(b.State); err != nil {
		return err
	}
	r.out.Next, err = b.encode()
	return err
}

// errNotFollowed says that everything is read each time, which nobody has to be told.
var errNotFollowed = &unusable{"changes are not followed"}

// fits gives the tracker a bookmark belongs to, or why it cannot be used.
func (p *passage) fits(r *reading, b *bookmark) (tracker, error) {
	switch {
	case b.Method == "" && len(p.choice.trackers) == 0:
		return nil, errNotFollowed
	case b.Method == "":
		return nil, cannot("changes were not followed until now")
	case len(p.choice.trackers) == 0:
		return nil, cannot("%s", p.choice.why)
	}
	t := p.choice.byName(b.Method)
	if t == nil {
		return nil, cannot("changes were followed by %s until now, which is not what suits the server and the settings any more", b.Method)
	}
	basis, err := r.basis()
	if err != nil {
		return nil, err
	}
	switch {
	case b.Basis != basis:
		return nil, cannot("base, filter, attributes or account are others than at the last reading")
	case b.Denied != r.denied.digest():
		return nil, cannot("the people in the deny groups are others than at the last reading")
	case since(b.FullAt, p.req.Now, p.set.fullEvery):
		return nil, cannot("a full reading is due every %s", hours(p.set.fullEvery))
	}
	return t, nil
}

// anew prepares for reading everything after an attempt to read changes. What
// the server still has to say of that is not waited for.
func (p *passage) anew(r *reading) error {
	r.changes, r.out.Method, r.reasons, r.stamped = false, "", nil, false
	if p.req.Anew != nil {
		if r.refused = p.req.Anew(); r.refused != nil {
			return r.refused
		}
	}
	return p.renew(r)
}

// renew takes another connection to the same server where one was left in the
// middle of an answer.
func (p *passage) renew(r *reading) error {
	if !p.c.stale {
		return nil
	}
	c, err := p.set.reach(p.ctx, p.c.srv)
	if err != nil {
		return err
	}
	if err := p.set.signIn(c, c.srv); err != nil {
		c.drop()
		return err
	}
	p.c.drop()
	p.c, r.c = c, c
	// Behind one address there may be several servers, each with numbers of its own.
	before := p.set.presetFor(r.dse)
	if r.dse, err = c.readRoot(); err != nil {
		return p.set.explain("read the root DSE", err)
	}
	if err := p.set.same(before, r.dse); err != nil {
		return err
	}
	return r.compareState(p.req.From)
}

// everything reads all records, and takes down a bookmark from which changes
// can be read the next time.
func (p *passage) everything(r *reading) error {
	halves, err := r.halves()
	if err != nil {
		return err
	}
	b := &bookmark{Version: bookmarkVersion, SweptAt: p.req.Now, FullAt: p.req.Now, Denied: r.denied.digest()}
	t, err := p.begin(r, b, halves)
	if err != nil {
		return err
	}
	if t != nil {
		if b.Bases, err = r.bases(halves); err != nil {
			return err
		}
	}
	r.out.Method = methodFull
	if err := r.meetAll(halves); err != nil {
		return err
	}
	for _, h := range halves {
		inner := h.kind == directory.Group && r.inside()
		if inner {
			if err := r.nameAll(h); err != nil {
				return err
			}
		}
		if err := r.whole(h); err != nil {
			return err
		}
		if inner {
			if err := r.follow(h); err != nil {
				return err
			}
		}
		r.noteNumbers(h)
	}
	if t == nil {
		return r.keepState(b)
	}
	var no *unusable
	if err := t.finish(r, b); errors.As(err, &no) {
		r.note(fmt.Sprintf("Changes cannot be read by %s: %s.", t.name(), no.why))
		return nil
	} else if err != nil {
		return err
	}
	b.meet(halves)
	b.Method, b.At = t.name(), r.c.srv.String()
	if b.State, err = r.endState(nil); err != nil {
		return err
	}
	if b.Basis, err = r.basis(); err != nil {
		return err
	}
	r.out.Next, err = b.encode()
	return err
}

// keepState takes down how far the server is where changes are not followed: the next
// reading may be of another one.
func (r *reading) keepState(b *bookmark) (err error) {
	if b.State, err = r.endState(nil); err != nil || len(b.State) == 0 {
		return err
	}
	b.At = r.c.srv.String()
	r.out.Next, err = b.encode()
	return err
}

// begin starts the first tracker that works here; nil if none does.
func (p *passage) begin(r *reading, b *bookmark, halves []*half) (tracker, error) {
	if len(p.choice.trackers) == 0 && p.set.method != methodAuto && p.set.method != methodOff {
		r.note(fmt.Sprintf("sync.method is %s, but %s.", p.set.method, p.choice.why))
	}
	for _, t := range p.choice.trackers {
		err := t.begin(r, b, halves)
		var no *unusable
		if !errors.As(err, &no) {
			return t, err
		}
		r.note(fmt.Sprintf("Changes cannot be read by %s: %s.", t.name(), no.why))
		if err := p.renew(r); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
