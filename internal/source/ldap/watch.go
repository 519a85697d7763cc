package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/source"
)

// Watch keeps searches open to which the server adds what changes: content
// synchronization with persist (RFC 4533), persistent search, or the change
// notification of Active Directory. That something came is all that counts; the
// next reading finds out what.
func (s *ldapSource) Watch(ctx context.Context, changed func()) error {
	c, err := s.set.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	d, err := c.readRoot()
	if err != nil {
		return s.set.explain("read the root DSE", err)
	}
	r, err := newReading(c, s.set, d, nil, nil)
	if err != nil {
		return err
	}
	halves, err := r.halves()
	if err != nil {
		return err
	}
	w := &watch{r: r, halves: halves, searches: map[int]bool{}, changed: changed}
	if err := w.choose(halves); err != nil {
		return err
	}
	return w.run(ctx)
}

// watch is one connection on which changes are waited for.
type watch struct {
	r        *reading
	halves   []*half
	queries  []query
	refresh  bool // a search tells what changed before it listens, and when it does
	searches map[int]bool
	waiting  int // searches that do not listen yet, and the first sign of life
	first    int // the request for that
	changed  func()
}

// choose takes the way the server has.
func (w *watch) choose(halves []*half) error {
	r := w.r
	offers := func(oid string) bool { return r.dse.has("supportedControl", oid) }
	switch {
	case r.c.srv.catalog():
		return source.ErrNoWatch
	case r.preset.vendor == vendorAD && offers(oidNotification):
		return w.notify()
	case r.preset.vendor == vendorOpenLDAP && offers(oidSyncRequest), offers(oidSyncRequest) && !offers(oidPersistentSearch):
		return w.persist(r.syncSearches(halves))
	case offers(oidPersistentSearch):
		for _, h := range halves {
			// Without a filter: it would hide who no longer matches it.
			q := query{base: h.query.base, scope: h.query.scope, filter: everything, controls: []control{persistentSearchControl()}}
			w.queries = append(w.queries, q)
		}
	default:
		return source.ErrNoWatch
	}
	return nil
}

// notify watches the whole naming context: from elsewhere a domain controller
// watches the next level at most, and what is deleted goes elsewhere. No filter but
// the one for everything is allowed (MS-ADTS 3.1.1.3.4.1.9).
func (w *watch) notify() error {
	contexts, err := w.r.contextsOf(w.halves)
	if err != nil {
		return fmt.Errorf("%w: %w", source.ErrNoWatch, err)
	}
	for _, base := range distinct(contexts) {
		q := query{base: base, scope: scopeSub, filter: everything, controls: []control{{oid: oidNotification, critical: true}}}
		if w.r.dse.has("supportedControl", oidShowDeleted) {
			q.controls = append(q.controls, control{oid: oidShowDeleted, critical: true})
		}
		w.queries = append(w.queries, q)
	}
	return nil
}

// persist goes on from a cookie where one can be had for nothing. Otherwise the
// server names everything before it listens.
func (w *watch) persist(all []syncSearch) error {
	w.refresh = true
	for _, s := range all {
		var cookie []byte
		if w.r.preset.vendor == vendorOpenLDAP {
			got, err := w.r.emptyRefresh(s.name, s.query)
			if no := (*unusable)(nil); errors.As(err, &no) {
				return fmt.Errorf("%w: %w", source.ErrNoWatch, err)
			}
			if err != nil {
				return err
			}
			cookie = got.cookie
		}
		s.query.controls = []control{syncControl(syncRefreshAndPersist, cookie)}
		w.queries = append(w.queries, s.query)
	}
	return nil
}

// run listens until the connection ends.
func (w *watch) run(ctx context.Context) error {
	c := w.r.c
	for _, q := range w.queries {
		q.attributes = []string{"objectClass"}
		if err := c.request(&q); err != nil {
			return w.failed(err)
		}
		w.searches[c.id] = true
		if w.refresh {
			w.waiting++
		}
	}
	// Where nothing says that a search listens, an answer to what was asked after it
	// has to do.
	w.waiting++
	if err := w.ask(); err != nil {
		return w.failed(err)
	}
	w.first = c.id
	stop := w.stayAlive(ctx)
	defer stop()
	for {
		id, m, err := c.receiveAny()
		if err == nil {
			err = w.take(id, m)
		}
		if err != nil {
			return w.failed(err)
		}
	}
}

func (w *watch) failed(err error) error {
	if errors.Is(err, source.ErrNoWatch) {
		return err
	}
	return w.r.set.explain("watch "+w.r.c.srv.String(), err)
}

// ask asks for a sign of life.
func (w *watch) ask() error {
	return w.r.c.request(&query{scope: scopeBase, filter: everything, attributes: []string{"1.1"}})
}

// stayAlive asks for one often enough for the silence of a directory nobody
// changes not to be taken for its end.
func (w *watch) stayAlive(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(max(w.r.set.idle/3, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if w.ask() != nil {
					return // the reading side finds out as well, and says why
				}
			}
		}
	})
	return func() {
		cancel()
		all.Wait()
	}
}

// take takes one message.
func (w *watch) take(id int, m message) error {
	if !w.searches[id] {
		if m.tag == opDone && id == w.first {
			w.listens()
		}
		return nil
	}
	switch m.tag {
	case opDone:
		res, err := decodeResult(m)
		if err != nil {
			return err
		}
		return w.ended(res)
	case opEntry:
		if w.waiting == 0 && w.counts(m.op) {
			w.changed()
		}
	case opIntermediate:
		info, err := decodeSyncInfo(m)
		if err != nil || info == nil {
			return err
		}
		if info.done {
			w.listens()
		} else if w.waiting == 0 && info.set {
			w.changed()
		}
	}
	return nil
}

// listens is called when one more search does.
func (w *watch) listens() {
	if w.waiting--; w.waiting == 0 {
		w.changed()
	}
}

// ended says what it means that a search is over.
func (w *watch) ended(res result) error {
	switch {
	case w.waiting == 0 && res.code != 0:
		return res.err()
	case res.code == 0:
		return fmt.Errorf("%w: the server answered as if it had been asked once", source.ErrNoWatch)
	}
	return fmt.Errorf("%w: %w", source.ErrNoWatch, res.err())
}

// counts leaves out what changes all day long in an Active Directory: what lies
// elsewhere and was not deleted, computers and names of the DNS. Somebody who is
// moved away is found by the next reading on schedule.
func (w *watch) counts(op cursor) bool {
	if w.r.preset.vendor != vendorAD {
		return true
	}
	dn, attributes, err := entryParts(op)
	at := Refer(dn)
	if !strings.Contains(dn, deletedMark) && !slices.ContainsFunc(w.halves, func(h *half) bool { return h.holds(at) }) {
		return false
	}
	for err == nil && len(attributes) > 0 {
		var values cursor
		if _, values, err = attributes.attribute(); err != nil {
			break
		}
		for len(values) > 0 {
			v, err := values.take(tagOctetString)
			if err != nil {
				break
			}
			if strings.EqualFold(string(v), "computer") || strings.EqualFold(string(v), "dnsNode") {
				return false
			}
		}
	}
	return true
}
