package tunnel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/yamux"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
)

// far is a source that agents read.
type far struct {
	hub      *Hub
	alias    string
	kind     source.Kind
	name     string // of the kind, where the settings are sent
	settings map[string]json.RawMessage
	basis    string // of the agent it was opened for
}

var (
	_ source.Finder  = (*far)(nil)
	_ source.Looker  = (*far)(nil)
	_ source.Expirer = (*far)(nil)
	_ source.Watcher = (*far)(nil)
)

// Close has nothing to close: each call has a stream of its own.
func (f *far) Close() error { return nil }

// talk is a call that an agent took up.
type talk struct {
	ctx    context.Context
	with   *Session
	stream *yamux.Stream
	r      *reader
	w      *writer
	lim    Limits
	moved  time.Time // when it last got on
	frames int
	stop   func() bool
}

// dial asks agents, one after the other, until one takes the call up.
func (f *far) dial(ctx context.Context, c call) (*talk, error) {
	c.Kind, c.Settings = f.name, f.settings
	sessions := f.hub.connected(f.alias)
	if len(sessions) == 0 {
		return nil, f.hub.nobody(f.alias, "", "look at the agent in the customer's network: is it started, and does it reach this server? `rollcall agents list` says when it was last seen")
	}
	var first error
	for _, s := range sessions {
		hello := s.Hello()
		var err error
		switch own := hello.Kind != ""; {
		case own && f.name == "" && f.basis == "":
			err = fault.New(fault.Unavailable, "an agent of connection %s has connected at this very moment", f.alias).WithHint("try again")
		case own != (f.name == "") || own && (hello.Kind != f.kind.Name || hello.Basis != f.basis):
			err = fault.New(fault.Unavailable, "the agents of connection %s do not read the same directory: the settings in their files differ", f.alias).
				WithHint("give them all the same adc.yaml")
		default:
			var t *talk
			if t, err = s.call(ctx, c); err == nil {
				s.suspect.Store(false)
				return t, nil
			}
			s.suspect.Store(true)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if first == nil {
			first = err
		}
	}
	if errors.Is(first, errNotTaken) {
		return nil, fault.New(fault.Unavailable, "the agent of connection %s does not answer", f.alias).
			WithHint("it is connected, but does nothing; its log may say why")
	}
	return nil, first
}

// call opens a stream and waits until the agent works on it.
func (s *Session) call(ctx context.Context, c call) (*talk, error) {
	lim := s.hub.Limits
	stream, err := s.mux.OpenStream()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotTaken, err)
	}
	t := &talk{ctx: ctx, with: s, stream: stream, r: newReader(stream, lim), w: newWriter(stream), lim: lim, moved: time.Now()}
	t.stop = context.AfterFunc(ctx, func() {
		_ = stream.SetDeadline(time.Unix(1, 0)) //nolint:errcheck // it is open; whoever reads stops
	})
	t.within(lim.Accepted)
	err = t.w.say(frameCall, c)
	var what frame
	if err == nil {
		what, _, err = t.r.next()
	}
	if err == nil && what == frameTaken {
		t.within(lim.Silence)
		return t, nil
	}
	t.close()
	if err == nil {
		err = errFrame
	}
	return nil, fmt.Errorf("%w: %w", errNotTaken, err)
}

// within gives the other side so much time, unless nobody waits any more.
func (t *talk) within(d time.Duration) {
	_ = t.stream.SetDeadline(time.Now().Add(d)) //nolint:errcheck // it is open
	if t.ctx.Err() != nil {
		_ = t.stream.SetDeadline(time.Unix(1, 0)) //nolint:errcheck // too
	}
}

func (t *talk) close() {
	t.stop()
	_ = t.stream.Close() //nolint:errcheck // the other side sees that nobody waits any more
}

// next gives what the agent says next. An error it reports is one, too.
func (t *talk) next() (frame, []byte, error) {
	for {
		if t.r.r.Buffered() == 0 {
			t.within(t.lim.Silence)
		}
		what, body, err := t.r.next()
		switch {
		case t.ctx.Err() != nil:
			return 0, nil, context.Cause(t.ctx)
		case errors.Is(err, errFrame):
			return 0, nil, liar(err)
		case err != nil:
			t.with.suspect.Store(true)
			return 0, nil, &lostError{fault.New(fault.Unavailable, "the agent went in the middle of the work: %w", err).
				WithHint("nothing of what it said so far counts; the next run asks anew")}
		}
		if t.frames++; t.frames > 4*t.lim.Records {
			return 0, nil, liar(errors.New("it does not come to an end"))
		}
		switch what {
		case frameFail:
			return 0, nil, failed(body)
		case frameAlive, frameTaken:
			if time.Since(t.moved) > t.lim.Idle {
				return 0, nil, fault.New(fault.Unavailable, "the agent does not get on: nothing came for %s", t.lim.Idle)
			}
			continue
		default:
		}
		t.moved = time.Now()
		return what, body, nil
	}
}

// liar is an error of an agent that does not keep to what was agreed.
func liar(err error) error {
	return fault.New(fault.Unavailable, "the agent is not to be trusted: %w", err).
		WithHint("nothing of what it said counts. Update it; if that does not help, somebody else may hold its secret: rotate it")
}

// end is the outcome of a call that brings nothing else.
func (t *talk) end(what frame, body []byte) (*outcome, error) {
	var o outcome
	if what != frameDone {
		return nil, liar(fmt.Errorf("%w: %d is no outcome", errFrame, what))
	}
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, liar(errFrame)
	}
	return &o, nil
}

// lostError is of an agent that went in the middle of the work.
type lostError struct{ err *fault.Error }

func (e *lostError) Error() string { return e.err.Message }
func (e *lostError) Unwrap() error { return e.err }

// twice does something that is quickly done once more, by another agent, where the
// first went meanwhile.
func twice[T any](ctx context.Context, do func() (T, error)) (T, error) {
	out, err := do()
	if lost := (*lostError)(nil); errors.As(err, &lost) && ctx.Err() == nil {
		return do()
	}
	return out, err
}

// simply makes a call and waits for its outcome.
func (f *far) simply(ctx context.Context, c call) (*outcome, error) {
	return twice(ctx, func() (*outcome, error) { return f.once(ctx, c) })
}

func (f *far) once(ctx context.Context, c call) (*outcome, error) {
	t, err := f.dial(ctx, c)
	if err != nil {
		return nil, err
	}
	defer t.close()
	what, body, err := t.next()
	if err != nil {
		return nil, err
	}
	return t.end(what, body)
}

func (f *far) Preset(ctx context.Context) (source.Preset, error) {
	o, err := f.simply(ctx, call{Do: callPreset})
	if err != nil {
		return source.Preset{}, err
	}
	if o.Preset == nil {
		return source.Preset{}, liar(errFrame)
	}
	p := *o.Preset
	p.Vendor, p.Anchor, p.Filter, p.Mapping = tidy(p.Vendor, 200), tidy(p.Anchor, 200), tidy(p.Filter, 100_000), tidyRules(p.Mapping)
	return p, nil
}

// Expires asks for a moment only: whoever reads the directory asks before, and cannot
// wait.
func (f *far) Expires() []source.Expiry {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	o, err := f.simply(ctx, call{Do: callExpires})
	if err != nil {
		return nil
	}
	list := o.Expires[:min(len(o.Expires), 20)]
	for i := range list {
		list[i].Name = tidy(list[i].Name, 200)
	}
	return list
}

func (f *far) Check(ctx context.Context, report func(source.Step)) {
	began := time.Now()
	fail := func(err error) {
		report(source.Step{Name: "agent", Section: source.Address, Verdict: source.Fail, Detail: err.Error(), Hint: fault.HintOf(err), Took: time.Since(began)})
	}
	t, err := f.dial(ctx, call{Do: callCheck})
	if err != nil {
		fail(err)
		return
	}
	defer t.close()
	report(source.Step{Name: "agent", Section: source.Address, Verdict: source.OK, Detail: "an agent is connected and takes up work", Took: time.Since(began)})
	for n := 0; ; n++ {
		what, body, err := t.next()
		if err == nil && what == frameDone {
			return
		}
		var s source.Step
		if err == nil && (what != frameStep || n >= t.lim.Steps || json.Unmarshal(body, &s) != nil) {
			err = liar(errFrame)
		}
		if err != nil {
			fail(err)
			return
		}
		report(tidyStep(s))
	}
}

func tidyStep(s source.Step) source.Step {
	s.Name, s.Detail, s.Hint = tidy(s.Name, 100), tidy(s.Detail, 20_000), tidy(s.Hint, 2000)
	switch s.Verdict {
	case source.OK, source.Warn, source.Fail, source.Skip:
	default:
		s.Verdict = source.Fail
	}
	s.Section = source.Section(tidy(string(s.Section), 40))
	s.Names = tidyAll(s.Names, source.MostNames, 500)
	if p := s.Proposal; p != nil {
		for _, text := range []*string{&p.Vendor, &p.Version, &p.Filter, &p.Anchor, &p.GroupFilter, &p.GroupName, &p.Encoding, &p.Separator} {
			*text = tidy(*text, 2000)
		}
		p.Bases, p.GroupMembers, p.Columns = tidyAll(p.Bases, 100, 1000), tidyAll(p.GroupMembers, 100, 200), tidyAll(p.Columns, 2000, 1000)
		p.Mapping = tidyRules(p.Mapping)
	}
	return s
}

func (f *far) Read(ctx context.Context, req source.Request, emit func(*directory.Record) error) (source.Reading, error) {
	c := call{Do: callRead, Attributes: req.Attributes, From: req.From, Changes: req.From != nil, Sweep: req.Sweep, Now: req.Now}
	t, err := f.dial(ctx, c)
	if err != nil {
		return source.Reading{}, err
	}
	defer t.close()
	changes := req.From != nil
	held := waiting{soon: req.Soon, emit: emit}
	sent := 0
	for {
		what, body, err := t.next()
		if err == nil && what != frameRecord {
			err = held.pass()
		}
		if err != nil {
			return source.Reading{}, err
		}
		switch what {
		case frameRecord:
			if sent++; sent > t.lim.Records {
				return source.Reading{}, liar(fmt.Errorf("more than %d records came of one reading", t.lim.Records))
			}
			rec, err := f.record(body, changes)
			if err != nil {
				return source.Reading{}, liar(err)
			}
			if err := held.take(rec, len(body)); err != nil {
				return source.Reading{}, err
			}
		case frameProgress:
			var p progress
			if json.Unmarshal(body, &p) != nil || p.Users < 0 || p.Groups < 0 {
				return source.Reading{}, liar(errFrame)
			}
			if req.Progress != nil {
				req.Progress(p.Users, p.Groups)
			}
		case frameAsk:
			var a ask
			if json.Unmarshal(body, &a) != nil || req.From == nil {
				return source.Reading{}, liar(errFrame)
			}
			if a.Anew {
				changes, held.soon = false, nil
			}
			if err := t.reply(a, req); err != nil {
				return source.Reading{}, err
			}
		default:
			o, err := t.end(what, body)
			if err == nil && (o.Reading == nil || o.Reading.Users < 0 || o.Reading.Groups < 0) {
				err = liar(errFrame)
			}
			if err == nil && o.Records != sent {
				err = liar(fmt.Errorf("%d records were sent and %d came", o.Records, sent))
			}
			if err != nil {
				return source.Reading{}, err
			}
			r := *o.Reading
			r.Method, r.Reason, r.Notes = tidy(r.Method, 100), tidy(r.Reason, 2000), tidyAll(r.Notes, 100, 2000)
			return r, nil
		}
	}
}

// keysAtOnce is how many digests stand in one frame.
const keysAtOnce = 4096

// reply answers what an agent asks back while it reads.
func (t *talk) reply(a ask, req source.Request) error {
	t.within(t.lim.Silence)
	var yes bool
	var err error
	switch {
	case a.Anew:
		err, yes = req.Anew(), true
	case a.All:
		yes = req.Keys != nil
	default:
		yes, err = req.Known(a.Kind, a.ID)
	}
	if err != nil {
		return err
	}
	if err := t.w.say(frameAnswer, answer{Yes: yes}); err != nil {
		return gone(err)
	}
	if !a.All || !yes {
		return nil
	}
	var batch []byte
	send := func() error {
		t.within(t.lim.Silence)
		err := t.w.put(frameKeys, batch)
		batch = batch[:0]
		return gone(err)
	}
	err = req.Keys(func(key directory.Digest) error {
		if batch = append(batch, key[:]...); len(batch) < keysAtOnce*len(key) {
			return nil
		}
		return send()
	})
	if err == nil && len(batch) > 0 {
		err = send()
	}
	if err == nil {
		err = send() // the empty one
	}
	if err == nil {
		err = gone(t.w.flush())
	}
	return err
}

func gone(err error) error {
	if err == nil {
		return nil
	}
	return fault.New(fault.Unavailable, "the agent went in the middle of the work: %w", err)
}

func (f *far) Find(ctx context.Context, who string) ([]source.Found, error) {
	o, err := f.simply(ctx, call{Do: callFind, Who: who})
	if err != nil {
		return nil, err
	}
	list := o.Found[:min(len(o.Found), f.hub.Limits.Found)]
	for i := range list {
		list[i].Name = tidy(list[i].Name, 1000)
		list[i].Clauses = list[i].Clauses[:min(len(list[i].Clauses), 100)]
		for j := range list[i].Clauses {
			x := &list[i].Clauses[j]
			x.Name, x.Detail = tidy(x.Name, 200), tidy(x.Detail, 20_000)
		}
	}
	return list, nil
}

func (f *far) Look(ctx context.Context, who string, attributes []string, emit func(*directory.Record) error) error {
	t, err := f.dial(ctx, call{Do: callLook, Who: who, Attributes: attributes})
	if err != nil {
		return err
	}
	defer t.close()
	// All or nothing: they are handed on once all have come.
	var all []*directory.Record
	for {
		what, body, err := t.next()
		if err != nil {
			return err
		}
		if what != frameRecord {
			o, err := t.end(what, body)
			if err == nil && o.Records != len(all) {
				err = liar(fmt.Errorf("%d records were sent and %d came", o.Records, len(all)))
			}
			for i := 0; err == nil && i < len(all); i++ {
				err = emit(all[i])
			}
			return err
		}
		r, err := f.record(body, false)
		if err == nil && (r.Kind != directory.User || len(all) >= t.lim.Found) {
			err = errFrame
		}
		if err != nil {
			return liar(err)
		}
		all = append(all, r)
	}
}

func (f *far) Watch(ctx context.Context, changed func()) error {
	t, err := f.dial(ctx, call{Do: callWatch})
	if err != nil {
		return err
	}
	defer t.close()
	t.lim.Idle = math.MaxInt64 // it lasts for as long as nothing changes
	for {
		what, _, err := t.next()
		t.frames = 0
		switch {
		case err != nil:
			return err
		case what == frameDone:
			return nil
		case what != frameChanged:
			return liar(errFrame)
		}
		changed()
	}
}

// prover is the same for passwords.
type prover struct{ f *far }

func (p prover) Close() error { return nil }

func (p prover) Prove(ctx context.Context, login, password string, attributes []string) (source.Proof, error) {
	return p.ask(ctx, call{Do: callProve, Who: login, Password: password, Attributes: attributes})
}

func (p prover) Find(ctx context.Context, login string, attributes []string) (source.Proof, error) {
	return p.ask(ctx, call{Do: callIdentify, Who: login, Attributes: attributes})
}

// ask tries a password a second time where nobody knows what came of the first.
func (p prover) ask(ctx context.Context, c call) (source.Proof, error) {
	return twice(ctx, func() (source.Proof, error) { return p.once(ctx, c) })
}

func (p prover) once(ctx context.Context, c call) (source.Proof, error) {
	t, err := p.f.dial(ctx, c)
	if err != nil {
		return source.Proof{}, err
	}
	defer t.close()
	var rec *directory.Record
	for {
		what, body, err := t.next()
		if err != nil {
			return source.Proof{}, err
		}
		if what == frameRecord && rec == nil {
			if rec, err = p.f.record(body, false); err == nil && rec.Kind != directory.User {
				err = errFrame
			}
			if err != nil {
				return source.Proof{}, liar(err)
			}
			continue
		}
		o, err := t.end(what, body)
		if err == nil && (o.Proof == nil || !standings[o.Proof.Standing]) {
			err = liar(errFrame)
		}
		if err != nil {
			return source.Proof{}, err
		}
		return source.Proof{Standing: o.Proof.Standing, Right: o.Proof.Right, Name: tidy(o.Proof.Name, 1000), Detail: tidy(o.Proof.Detail, 2000), Record: rec}, nil
	}
}

var standings = map[source.Standing]bool{source.Proved: true, source.Nobody: true, source.Several: true, source.Wrong: true, source.Disabled: true, source.Ended: true,
	source.Locked: true, source.Expired: true, source.MustChange: true, source.NotHere: true, source.NotReadable: true}
