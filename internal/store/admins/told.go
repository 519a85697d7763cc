package admins

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// about is what events tell of an administrator or an invitation.
type about struct {
	ID           string `json:"id,omitempty"`
	Email        string `json:"email,omitempty"`
	Name         string `json:"name,omitempty"`
	Role         Role   `json:"role,omitempty"`
	Organization string `json:"organization,omitempty"`
	Address      string `json:"address,omitempty"` // the network address it came from
	Agent        string `json:"agent,omitempty"`
	Factor       string `json:"factor,omitempty"` // "password", "password and code", ...
	Sessions     int64  `json:"sessions,omitempty"`
	Left         *int64 `json:"recovery_codes_left,omitempty"`
}

func aboutOf(a *Administrator) *about {
	return &about{ID: a.ID, Email: a.Email, Role: a.Role, Organization: a.Organization}
}

// told writes an event in the transaction of what it tells of.
func told(ctx context.Context, tx *db.Tx, what event.Type, organization, actor string, at time.Time, before, after *about) error {
	e := event.Event{Type: what, Organization: organization, At: at, Actor: actor}
	for _, side := range []struct {
		from *about
		to   *json.RawMessage
	}{{before, &e.Before}, {after, &e.After}} {
		if side.from == nil {
			continue
		}
		var err error
		if *side.to, err = json.Marshal(side.from); err != nil {
			return err
		}
	}
	return events.Record(ctx, tx, e)
}

// mostAgent bounds what is kept of a browser's name of itself, in bytes.
const mostAgent = 200

// ShownAgent is a browser's name of itself as it is kept: a stranger wrote it.
func ShownAgent(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if len(text) > mostAgent {
		text = strings.ToValidUTF8(text[:mostAgent], "")
	}
	return text
}

// ShownAddress is a network address as it is kept, "" where it is not known.
func ShownAddress(from netip.Addr) string {
	if !from.IsValid() {
		return ""
	}
	return from.Unmap().WithZone("").String()
}
