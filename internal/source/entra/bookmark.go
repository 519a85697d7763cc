package entra

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/rollcall/internal/source"
)

// bookmark is what a cursor holds.
type bookmark struct {
	Version int `json:"version"`
	// Basis stands for all that decides what is read: tenant, $select, selection. A
	// delta only tells of the properties that its first request named.
	Basis  string `json:"basis"`
	Users  string `json:"users"`            // the deltaLink, as it came
	Groups string `json:"groups,omitempty"` // "" where no group is selected
	// At is when the links were given. They are good for seven days.
	At      time.Time `json:"at"`
	SweptAt time.Time `json:"swept_at"` // when the ids of all were last asked for
	FullAt  time.Time `json:"full_at"`
	// Edges are the groups in groups that are read, and Nested those that are read for
	// no other reason.
	Edges  map[string][]string `json:"edges,omitempty"`
	Nested []string            `json:"nested,omitempty"`
	// Named are the names of the groups that are set by name or ID, by ID.
	Named map[string]string `json:"named,omitempty"`
}

const bookmarkVersion = 2

// goodFor is how long a link is used. Microsoft keeps the state of directory objects
// for seven days (delta-query-overview); an hour less, since a reading takes a while.
const goodFor = 7*24*time.Hour - time.Hour

func (s *settings) basis(w wish) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%q %q %q %v %v %v %v %v %v %q %q", s.tenant, s.graphURL, w.properties, w.manager, s.guests,
		s.groups.include, s.groups.exclude, s.membersOnly, s.groups.none(), s.groups.names, s.groups.ids)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// usable gives a bookmark to read changes from, or says why there is none.
func (s *settings) usable(from source.Cursor, basis string, now time.Time) (*bookmark, string) {
	b := &bookmark{}
	switch {
	case json.Unmarshal(from, b) != nil || b.Version != bookmarkVersion:
		return nil, "the bookmark of the last reading cannot be read"
	case b.Basis != basis:
		return nil, "other properties, people or groups are wanted than at the last reading"
	case b.Users == "" || b.Groups == "" && !s.groups.none():
		return nil, "the bookmark of the last reading is not whole"
	case b.At.After(now):
		return nil, "the bookmark of the last reading is of a time to come"
	case now.Sub(b.At) >= goodFor:
		return nil, "the last reading is more than seven days ago, and Microsoft forgets after that"
	case b.FullAt.After(now) || now.Sub(b.FullAt) >= s.fullEvery:
		return nil, "it was time for a full reading (sync.full_every)"
	}
	return b, ""
}
