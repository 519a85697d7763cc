package storetest

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/apply"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
)

// errPower is what a store that lost its power says.
var errPower = errors.New("the power is gone")

// tap is a store whose every writing call is one transaction, and can be made to
// fail before it, or after it although it was written.
type tap struct {
	engine.Store
	before func(op string) error
	after  func(op string) error
}

func (t *tap) do(op string, fn func() error) error {
	if t.before != nil {
		if err := t.before(op); err != nil {
			return err
		}
	}
	if err := fn(); err != nil || t.after == nil {
		return err
	}
	return t.after(op)
}

func (t *tap) Leases() engine.Leases { return tapLeases{t.Store.Leases(), t} }
func (t *tap) Mirror() engine.Mirror { return tapMirror{t.Store.Mirror(), t} }
func (t *tap) Plans() engine.Plans   { return tapPlans{t.Store.Plans(), t} }
func (t *tap) Runs() engine.Runs     { return tapRuns{t.Store.Runs(), t} }
func (t *tap) Ledger() apply.Ledger  { return tapLedger{t.Store.Ledger(), t} }

type tapLeases struct {
	engine.Leases
	t *tap
}

func (l tapLeases) Acquire(ctx context.Context, alias, organization, kind string) (lease mirror.Lease, err error) {
	err = l.t.do("lease acquire", func() error {
		lease, err = l.Leases.Acquire(ctx, alias, organization, kind)
		return err
	})
	return lease, err
}

func (l tapLeases) Release(ctx context.Context, lease mirror.Lease) error {
	return l.t.do("lease release", func() error { return l.Leases.Release(ctx, lease) })
}

type tapMirror struct {
	engine.Mirror
	t *tap
}

func (m tapMirror) Stage(ctx context.Context, lease mirror.Lease, generation int64, rows []mirror.Row) error {
	return m.t.do("mirror stage", func() error { return m.Mirror.Stage(ctx, lease, generation, rows) })
}

func (m tapMirror) Discard(ctx context.Context, lease mirror.Lease) error {
	return m.t.do("mirror discard", func() error { return m.Mirror.Discard(ctx, lease) })
}

func (m tapMirror) Publish(ctx context.Context, lease mirror.Lease, p mirror.Publication) (users, groups int, err error) {
	err = m.t.do("mirror publish", func() (err error) {
		users, groups, err = m.Mirror.Publish(ctx, lease, p)
		return err
	})
	return users, groups, err
}

func (m tapMirror) Reset(ctx context.Context, lease mirror.Lease, organization, actor string, at time.Time) error {
	return m.t.do("mirror reset", func() error { return m.Mirror.Reset(ctx, lease, organization, actor, at) })
}

type tapPlans struct {
	engine.Plans
	t *tap
}

func (p tapPlans) Begin(ctx context.Context, lease mirror.Lease, made *engine.Plan) error {
	return p.t.do("plan begin", func() error { return p.Plans.Begin(ctx, lease, made) })
}

func (p tapPlans) Append(ctx context.Context, lease mirror.Lease, id, part string, c plan.Chunk) error {
	return p.t.do("plan append", func() error { return p.Plans.Append(ctx, lease, id, part, c) })
}

func (p tapPlans) Finish(ctx context.Context, lease mirror.Lease, made *engine.Plan, overlaps []engine.Overlap) error {
	return p.t.do("plan finish", func() error { return p.Plans.Finish(ctx, lease, made, overlaps) })
}

func (p tapPlans) Start(ctx context.Context, lease mirror.Lease, made *engine.Plan, excluded []int64, run *engine.Run) error {
	return p.t.do("plan start", func() error { return p.Plans.Start(ctx, lease, made, excluded, run) })
}

func (p tapPlans) Complete(ctx context.Context, lease mirror.Lease, made *engine.Plan, run *engine.Run, notes []plan.Note) error {
	return p.t.do("plan complete", func() error { return p.Plans.Complete(ctx, lease, made, run, notes) })
}

func (p tapPlans) Reject(ctx context.Context, lease mirror.Lease, made *engine.Plan, actor string) error {
	return p.t.do("plan reject", func() error { return p.Plans.Reject(ctx, lease, made, actor) })
}

type tapRuns struct {
	engine.Runs
	t *tap
}

func (r tapRuns) Start(ctx context.Context, lease mirror.Lease, run *engine.Run) error {
	return r.t.do("run start", func() error { return r.Runs.Start(ctx, lease, run) })
}

func (r tapRuns) Save(ctx context.Context, lease mirror.Lease, run *engine.Run) error {
	return r.t.do("run save", func() error { return r.Runs.Save(ctx, lease, run) })
}

func (r tapRuns) Interrupted(ctx context.Context, lease mirror.Lease, spare string) error {
	return r.t.do("run interrupted", func() error { return r.Runs.Interrupted(ctx, lease, spare) })
}

type tapLedger struct {
	apply.Ledger
	t *tap
}

func (l tapLedger) Commit(ctx context.Context, b apply.Batch) (out []apply.Outcome, err error) {
	err = l.t.do("ledger commit", func() error {
		out, err = l.Ledger.Commit(ctx, b)
		return err
	})
	return out, err
}

func (l tapLedger) Index(ctx context.Context, lease mirror.Lease, organization string, names, configured []string) error {
	return l.t.do("ledger index", func() error { return l.Ledger.Index(ctx, lease, organization, names, configured) })
}

func (l tapLedger) Ready(ctx context.Context) {
	_ = l.t.do(opReady, func() error { l.Ledger.Ready(ctx); return nil }) //nolint:errcheck // it fails nobody's work
}

// opReady is the one operation whose failure no run tells of.
const opReady = "ledger ready"

func (l tapLedger) Purge(ctx context.Context, b apply.Batch, before time.Time, spare []account.ID) (n int, err error) {
	err = l.t.do("ledger purge", func() error {
		n, err = l.Ledger.Purge(ctx, b, before, spare)
		return err
	})
	return n, err
}
