package simulator

import (
	"regexp"
	"strings"

	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/simulator/wire"
)

var csnPattern = regexp.MustCompile(`^\d{14}\.\d{6}Z#[0-9a-f]{6}#([0-9a-f]{3})#[0-9a-f]{6}$`)

// parseCookie reads rid=…,sid=…,csn=…;csn=… and gives the CSN of a server, and
// whether the text is a cookie at all.
func parseCookie(text, server string) (csn string, readable bool) {
	for part := range strings.SplitSeq(text, ",") {
		value, ok := strings.CutPrefix(part, "csn=")
		if !ok {
			continue
		}
		for one := range strings.SplitSeq(value, ";") {
			m := csnPattern.FindStringSubmatch(one)
			if m == nil {
				return "", false
			}
			readable = true
			if m[1] == server {
				csn = one
			}
		}
	}
	return csn, readable
}

// sync answers a sync request (RFC 4533) as syncprov does.
func (r *openLDAP) sync(s *search, c *wire.Control) wire.Result {
	mode, cookie, err := c.Sync()
	if err != nil {
		return wire.Result{Code: wire.ProtocolError, Text: "the sync control cannot be read"}
	}
	if missing := s.exists(); missing != nil {
		return *missing
	}
	at, now := s.position(), r.contextCSN()
	refresh := syncRefresh{r: r, s: s}
	refresh.most, _ = r.sizeLimit(s)
	refresh.most = smaller(refresh.most, int(s.q.SizeLimit))
	deletes := true
	if cookie == nil || *cookie == "" {
		err = refresh.everything("")
	} else {
		csn, readable := parseCookie(*cookie, r.serverID())
		switch {
		case !readable:
			// Seen: what cannot be read counts as no cookie, and whoever sent it is never
			// told what was deleted.
			err = refresh.everything("")
		case csn == "":
			err, deletes = refresh.everything(""), false
		case csn > now:
			return wire.Result{Code: wire.UnwillingToPerform, Text: "consumer state is newer than provider!"}
		case csn >= r.logStart():
			if err = refresh.gone(csn); err == nil {
				err = refresh.everything(csn)
			}
		default:
			err, deletes = refresh.present(csn), false
		}
	}
	if err != nil {
		return wire.Result{}
	}
	if refresh.over {
		return wire.Result{Code: wire.SizeLimitExceeded}
	}
	text := "rid=000,csn=" + now
	if mode != wire.RefreshAndPersist {
		return wire.Result{Controls: []wire.Control{wire.NewSyncDone(text, deletes)}}
	}
	phase := wire.InfoRefreshPresent
	if deletes {
		phase = wire.InfoRefreshDelete
	}
	if s.put(wire.Intermediate(s.id, wire.OIDSyncInfo, wire.SyncInfo(phase, text, true)), true) != nil {
		return wire.Result{}
	}
	return s.persist(at, func(c tree.Change) error { return r.tell(s, c) })
}

func (r *openLDAP) serverID() string {
	text := r.csn(r.s.Tree.Now(), 0)
	return strings.Split(text, "#")[2]
}

// logStart is the CSN of the last change the session log does not hold.
func (r *openLDAP) logStart() string {
	most := r.p.SessionLog
	if most == 0 {
		most = 100
	}
	held := r.s.Tree.Stamped(r.since.Load() - 1) // with the one it begins behind
	if len(held) > most+1 {
		held = held[len(held)-most-1:]
	}
	if len(held) == 0 {
		return r.contextCSN()
	}
	return r.csn(held[0].At, held[0].Number)
}

// syncRefresh is the refresh stage of one sync.
type syncRefresh struct {
	r    *openLDAP
	s    *search
	most int
	over bool // the size limit ended it
}

// everything sends what was changed at a CSN or after it. What was changed just
// then is sent again: syncprov compares by "not before".
func (f *syncRefresh) everything(csn string) error {
	return f.walk(func(e *tree.Entry) error {
		if f.r.csn(e.ChangedAt, e.Changed) < csn {
			return nil
		}
		return f.add(e)
	})
}

func (f *syncRefresh) add(e *tree.Entry) error {
	if f.most > 0 && f.s.sent >= f.most {
		f.over = true
		return errCut
	}
	return f.s.sendState(e, wire.StateAdd, "", false)
}

// present names everything that is there, and sends what was changed.
func (f *syncRefresh) present(csn string) error {
	var same [][16]byte
	err := f.walk(func(e *tree.Entry) error {
		if f.r.csn(e.ChangedAt, e.Changed) >= csn {
			return f.add(e)
		}
		if same = append(same, e.UUID); len(same) < idSet {
			return nil
		}
		full := same
		same = nil
		return f.s.sendIDs(false, full)
	})
	if err != nil || f.over {
		return err
	}
	return f.s.sendIDs(false, same)
}

func (f *syncRefresh) walk(fn func(e *tree.Entry) error) error {
	var err error
	f.r.s.Tree.Walk(f.s.base, f.s.q.Scope, 0, func(e *tree.Entry) bool {
		if f.s.matches(e) {
			err = fn(e)
		}
		return err == nil
	})
	if f.over {
		return nil
	}
	return err
}

// gone names what the session log knows to have been deleted, or changed so that
// it does not match now: whether it ever did is not looked at.
func (f *syncRefresh) gone(csn string) error {
	var ids [][16]byte
	seen := map[int64]bool{}
	for _, c := range f.r.s.Tree.Stamped(f.r.since.Load()) {
		e := c.Entry()
		if f.r.csn(c.At, c.Number) <= csn || seen[e.ID] {
			continue
		}
		seen[e.ID] = true
		now := f.r.s.Tree.ByUUID(e.UUID)
		if now == nil || c.Kind != tree.Added && !f.s.matches(now) {
			ids = append(ids, e.UUID)
		}
	}
	return f.s.sendIDs(true, ids)
}

// tell reports one change to a client that stays. What overlays wrote has no
// number of its own, and nobody is told.
func (r *openLDAP) tell(s *search, c tree.Change) error {
	if c.Number == 0 {
		return nil
	}
	cookie := "rid=000,csn=" + r.csn(c.At, c.Number)
	was := c.Before != nil && s.matches(c.Before)
	is := c.After != nil && s.matches(c.After)
	switch {
	case is && was:
		return s.sendState(c.After, wire.StateModify, cookie, true)
	case is:
		return s.sendState(c.After, wire.StateAdd, cookie, true)
	case was:
		return s.sendState(c.Before, wire.StateDelete, cookie, true)
	}
	return nil
}
