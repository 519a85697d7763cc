package okta

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/source"
)

// bookmark is what a cursor holds.
type bookmark struct {
	Version int       `json:"version"`
	Basis   string    `json:"basis"` // of what was read, see settings.basis
	Mark    time.Time `json:"mark"`  // Okta's time when the last reading began
	SweptAt time.Time `json:"swept_at"`
	FullAt  time.Time `json:"full_at"`
	// Groups stands for the groups selected, where their members are who is read.
	Groups []byte `json:"groups,omitempty"`
}

const bookmarkVersion = 1

// fits says why a bookmark cannot be read from, or "".
func (s *settings) fits(from source.Cursor, attributes []string, now time.Time) (*bookmark, string) {
	b := &bookmark{}
	switch {
	case json.Unmarshal(from, b) != nil || b.Mark.IsZero():
		return nil, "the bookmark of the last reading cannot be read"
	case b.Version != bookmarkVersion:
		return nil, "the bookmark of the last reading is from another version of Rollcall"
	case b.Basis != s.basis(attributes):
		return nil, "who is read, or the attributes, are others than at the last reading"
	case due(b.FullAt, now, s.fullEvery):
		return nil, "a full reading is due every " + strings.TrimSuffix(strings.TrimSuffix(s.fullEvery.String(), "0s"), "0m")
	}
	return b, ""
}

// due is true when a time is at least an interval ago, or lies in the future: then a
// clock was wrong, and nothing can be said of it.
func due(at, now time.Time, every time.Duration) bool { return at.After(now) || now.Sub(at) >= every }

// digest stands for a set of groups.
func digest(list []*entry) []byte {
	ids := make([]string, len(list))
	for i, g := range list {
		ids[i] = g.id
	}
	slices.Sort(ids)
	sum := directory.Sum([]byte(strings.Join(ids, "\x00")))
	return sum[:]
}
