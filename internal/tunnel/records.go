package tunnel

import (
	"fmt"

	"rollcall.dev/rollcall/internal/directory"
)

// Records of a reading of changes wait for each other, so that they are looked up at
// once, until they are so many, or take so many bytes.
const (
	waitingMost  = 256
	waitingBytes = 1 << 20
)

// waiting are the records that came and were not handed on yet.
type waiting struct {
	soon    func(directory.Kind, []directory.ExternalID) error // nil where none need wait
	emit    func(*directory.Record) error
	records []*directory.Record
	bytes   int
}

func (w *waiting) take(r *directory.Record, size int) error {
	if w.soon == nil {
		return w.emit(r)
	}
	w.records, w.bytes = append(w.records, r), w.bytes+size
	if len(w.records) < waitingMost && w.bytes < waitingBytes {
		return nil
	}
	return w.pass()
}

// pass hands on all that wait.
func (w *waiting) pass() error {
	for _, kind := range []directory.Kind{directory.User, directory.Group} {
		var ids []directory.ExternalID
		for _, r := range w.records {
			if r.ID != "" && (r.Kind == kind || kind == directory.Group && r.Kind == directory.Inner) {
				ids = append(ids, r.ID)
			}
		}
		if len(ids) < 2 {
			continue
		}
		if err := w.soon(kind, ids); err != nil {
			return err
		}
	}
	for _, r := range w.records {
		if err := w.emit(r); err != nil {
			return err
		}
	}
	w.records, w.bytes = nil, 0
	return nil
}

// record reads a record, and refuses what this reading cannot bring.
func (f *far) record(body []byte, changes bool) (*directory.Record, error) {
	r, err := decodeRecord(body, f.hub.Limits.Items)
	switch {
	case err != nil:
		return nil, err
	case r.Password != "" && !f.kind.Passwords:
		return nil, fmt.Errorf("%w: a password, where a source %s has none", errFrame, f.kind.Name)
	case (r.Gone || r.Present) && !changes:
		return nil, fmt.Errorf("%w: a removal in a reading of everything", errFrame)
	case r.ID == "" && (r.Problem == "" || r.Gone || r.Present):
		return nil, fmt.Errorf("%w: an entry without an ID and without a problem", errFrame)
	}
	return r, nil
}
