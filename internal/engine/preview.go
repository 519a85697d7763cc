package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Preview plans with settings that are not saved: c is a connection as it would
// be. The directory is read into a copy of the mirror, so that bookmark, mirror,
// waiting plans and everything else of the connection stay as they are. The plan is
// kept; it can be approved once the settings are saved as they are here, and
// nothing else has moved.
func (e *Engine) Preview(ctx context.Context, c setting.Connection, o Options) (*Result, error) {
	c, err := e.Settled(ctx, c)
	if err != nil {
		return &Result{}, err
	}
	var out Result
	o.Full, o.draft = true, true
	err = e.hold(ctx, c, nil, func(ctx context.Context, lease mirror.Lease) (err error) {
		aside, err := e.Store.Mirror().Aside(ctx, lease)
		defer func() {
			free, done := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer done()
			// One that cannot be taken away now is by the next reading.
			err = errors.Join(err, e.Store.Mirror().DropAside(free, lease))
		}()
		if err != nil {
			return err
		}
		p, err := e.besides(c, aside).prepare(ctx, c, lease, o)
		if err != nil {
			return err
		}
		defer p.close()
		if _, err := p.read(ctx); err != nil {
			return err
		}
		out.Plan, err = p.make(ctx, nil)
		return err
	})
	return &out, err
}

// besides is an engine that knows one connection as it would be, and works on the
// copy of its mirror that the lease is for.
func (e *Engine) besides(c setting.Connection, aside mirror.Lease) *Engine {
	out := *e
	out.Store = besideStore{e.Store, besideMirror{Mirror: e.Store.Mirror(), alias: c.Alias, aside: aside}}
	out.Connections = func(ctx context.Context, organization string) ([]setting.Connection, error) {
		list, err := e.Connections(ctx, organization)
		list = slices.Clone(list)
		at := slices.IndexFunc(list, func(o setting.Connection) bool { return o.Alias == c.Alias })
		if at < 0 {
			return append(list, c), err
		}
		list[at] = c
		return list, err
	}
	return &out
}

type besideStore struct {
	Store
	mirror besideMirror
}

func (s besideStore) Mirror() Mirror { return s.mirror }
func (s besideStore) Leases() Leases { return besideLeases{s.Store.Leases(), s.mirror} }

// besideLeases gives the state of the connection with the verdict on the reading
// that went into the copy.
type besideLeases struct {
	Leases
	mirror besideMirror
}

func (l besideLeases) State(ctx context.Context, alias string) (State, error) {
	s, err := l.Leases.State(ctx, alias)
	if err != nil || alias != l.mirror.alias {
		return s, err
	}
	read, err := l.Leases.State(ctx, l.mirror.aside.Connection)
	s.Complete, s.Reading, s.Users, s.Groups, s.LastFullAt, s.Cursor = read.Complete, read.Reading, read.Users, read.Groups, read.LastFullAt, nil
	return s, err
}

// besideMirror is the copy, under the name of the connection.
type besideMirror struct {
	Mirror
	alias string
	aside mirror.Lease
}

func (m besideMirror) name(connection string) string {
	if connection == m.alias {
		return m.aside.Connection
	}
	return connection
}

func (m besideMirror) selection(s Selection) Selection {
	s.Connection = m.name(s.Connection)
	return s
}

func (m besideMirror) Known(ctx context.Context, connection string, fn func(key, hash directory.Digest, kind directory.Kind)) error {
	return m.Mirror.Known(ctx, m.name(connection), fn)
}

func (m besideMirror) Find(ctx context.Context, connection string, keys []directory.Digest, fn func(key, hash directory.Digest, kind directory.Kind)) error {
	return m.Mirror.Find(ctx, m.name(connection), keys, fn)
}

func (m besideMirror) Stage(ctx context.Context, _ mirror.Lease, generation int64, rows []mirror.Row) error {
	return m.Mirror.Stage(ctx, m.aside, generation, rows)
}

func (m besideMirror) Discard(ctx context.Context, _ mirror.Lease) error {
	return m.Mirror.Discard(ctx, m.aside)
}

func (m besideMirror) Publish(ctx context.Context, _ mirror.Lease, p mirror.Publication) (users, groups int, err error) {
	return m.Mirror.Publish(ctx, m.aside, p)
}

func (m besideMirror) Each(ctx context.Context, s Selection, kind directory.Kind, fn func([]mirror.Row) error) error {
	return m.Mirror.Each(ctx, m.selection(s), kind, fn)
}

func (m besideMirror) Moved(ctx context.Context, s Selection) (users, groups int, err error) {
	return m.Mirror.Moved(ctx, m.selection(s))
}

func (m besideMirror) People(ctx context.Context, s Selection, fn func([]mirror.Row) error) error {
	return m.Mirror.People(ctx, m.selection(s), fn)
}

func (m besideMirror) Rows(ctx context.Context, connection string, keys []directory.Digest) ([]mirror.Row, error) {
	return m.Mirror.Rows(ctx, m.name(connection), keys)
}

func (m besideMirror) Former(ctx context.Context, connection string, fn func(ref directory.Digest, until int64, key directory.Digest)) error {
	return m.Mirror.Former(ctx, m.name(connection), fn)
}

func (m besideMirror) Returned(ctx context.Context, connection string, fn func(ref directory.Digest, since int64)) error {
	return m.Mirror.Returned(ctx, m.name(connection), fn)
}

func (m besideMirror) Groups(ctx context.Context, connection string, members bool, fn func(*mirror.Group)) error {
	return m.Mirror.Groups(ctx, m.name(connection), members, fn)
}

func (m besideMirror) Primaries(ctx context.Context, connection string, of []directory.Digest, fn func(group, person directory.Digest, generation int64)) error {
	return m.Mirror.Primaries(ctx, m.name(connection), of, fn)
}

// draftOf is a fingerprint of all of a connection's settings that say what is read,
// from where, and what becomes of it, secrets left out. A plan of settings that are
// not saved carries it.
func draftOf(c setting.Connection, kind source.Kind) string {
	var backend []string
	for _, o := range kind.Options {
		if v, ok := c.Backend[o.Name]; ok && !o.Secret {
			backend = append(backend, fmt.Sprintf("%s=%v", o.Name, v))
		}
	}
	text := fmt.Sprintf("%s %q %s %+v", c.Kind, backend, configOf(c, kind), c.Limits)
	return fmt.Sprintf("%x", directory.Sum([]byte(text)))
}
