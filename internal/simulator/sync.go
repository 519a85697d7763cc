package simulator

import (
	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
)

// idSet is how many entries one Sync Info names.
const idSet = 256

// sendIDs names entries by Sync Infos (RFC 4533, 2.5).
func (s *search) sendIDs(refreshDeletes bool, ids [][16]byte) error {
	for len(ids) > 0 {
		n := min(len(ids), idSet)
		if err := s.put(wire.Intermediate(s.id, wire.OIDSyncInfo, wire.SyncIDSet("", refreshDeletes, ids[:n])), false); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// sendState sends an entry with its state. Of a deleted one there is only the name.
func (s *search) sendState(e *tree.Entry, state int64, cookie string, flush bool) error {
	control := wire.NewSyncState(state, e.UUID, cookie)
	if state == wire.StateDelete {
		return s.entry(s.frame(e.DN, nil, control), flush)
	}
	return s.send(e, flush, control)
}

// persist tells of changes behind a Seq as long as the search lasts. The
// function sends what a change is worth.
func (s *search) persist(seq int64, tell func(c tree.Change) error) wire.Result {
	for {
		changes, moved := s.c.s.Tree.Since(seq)
		for _, c := range changes {
			seq = c.Seq
			if err := tell(c); err != nil {
				return wire.Result{}
			}
		}
		select {
		case <-moved:
		case <-s.ctx.Done():
			return wire.Result{}
		}
	}
}

// position is the Seq of the last change.
func (s *search) position() int64 {
	changes, _ := s.c.s.Tree.Since(0)
	return int64(len(changes))
}
