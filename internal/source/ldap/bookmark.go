package ldap

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/source"
)

// bookmark is what a cursor holds: where the next reading of changes may start,
// and what must be as it was for that to be true.
type bookmark struct {
	Version int    `json:"version"`
	Method  string `json:"method"` // "" where changes are not followed
	At      string `json:"at"`     // the address of the server that was read
	// Server is who gave the marks below, where they mean nothing to another: the
	// invocation ID of a domain controller, an address.
	Server string `json:"server,omitempty"`
	// Controller is the domain controller that was read, by the DN of its settings.
	Controller string `json:"controller,omitempty"`
	// Basis stands for what was read and how: base, filter, attributes, account.
	Basis string `json:"basis"`
	// Bases are the external IDs of the entries below which is read, by DN: another
	// entry that is called so now holds other people, none of whom changed.
	Bases map[string]string `json:"bases,omitempty"`
	// Denied stands for the people of the deny groups.
	Denied string `json:"denied,omitempty"`

	// Members are the attributes in which groups had members since everything was read;
	// none says that it is not known.
	Members []string `json:"members,omitempty"`

	// State is how far the server was when it had been read, one mark for each server
	// that changes are made on.
	State []string `json:"state,omitempty"`

	USN     uint64            `json:"usn,omitempty"`
	Stamp   stamp             `json:"stamp,omitempty"`
	Cookies map[string][]byte `json:"cookies,omitempty"`

	SweptAt time.Time `json:"swept_at"` // when every entry was last named
	FullAt  time.Time `json:"full_at"`  // when everything was last read
}

const bookmarkVersion = 2 // 1 handed on names as they are spelled

// unusable says why changes cannot be read in some way. Everything is read then.
type unusable struct{ why string }

func (u *unusable) Error() string { return u.why }

func cannot(format string, args ...any) error { return &unusable{fmt.Sprintf(format, args...)} }

func decodeBookmark(from source.Cursor) (*bookmark, error) {
	b := &bookmark{}
	if err := json.Unmarshal(from, b); err != nil {
		return nil, cannot("the bookmark of the last reading cannot be read")
	}
	if b.Version != bookmarkVersion {
		return nil, cannot("the bookmark of the last reading is from another version of Rollcall")
	}
	return b, nil
}

func (b *bookmark) encode() (source.Cursor, error) { return json.Marshal(b) }

// meet adds the attributes in which groups were seen to have members.
func (b *bookmark) meet(halves []*half) {
	for _, h := range halves {
		b.Members = slices.AppendSeq(b.Members, maps.Keys(h.decoder.met))
	}
	slices.Sort(b.Members)
	b.Members = slices.Compact(b.Members)
}

func (b *bookmark) cookie(name string) []byte { return b.Cookies[name] }

func (b *bookmark) keep(name string, cookie []byte) {
	if b.Cookies == nil {
		b.Cookies = map[string][]byte{}
	}
	b.Cookies[name] = cookie
}

// since is true when a time is at least an interval ago, or lies in the future:
// then a clock was wrong, and nothing can be said of it.
func since(at, now time.Time, every time.Duration) bool {
	return at.After(now) || now.Sub(at) >= every
}

// basis stands for all that decides which entries and attributes are read. What
// changes meanwhile is seen under the same one alone.
func (r *reading) basis() (string, error) {
	halves, err := r.halves()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	put := func(format string, args ...any) { _, _ = fmt.Fprintf(h, format+"\n", args...) }
	put("%s %s %q %q", r.preset.vendor, r.anchor, r.set.bindDN, r.set.deny)
	for _, half := range halves {
		asked := append(half.decoder.request(), half.decoder.handed()...)
		for i := range asked {
			asked[i] = strings.ToLower(asked[i])
		}
		slices.Sort(asked)
		put("%d %q %d %x %q", half.kind, Refer(half.query.base), half.query.scope, half.query.filter, asked)
		if half.decoder.include != nil {
			put("%q and what is in them", half.decoder.include)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// bases gives the external IDs of the entries below which is read.
func (r *reading) bases(halves []*half) (map[string]string, error) {
	out := map[string]string{}
	for _, h := range halves {
		dn := Refer(h.query.base)
		if _, twice := out[dn]; twice || dn == "" {
			continue
		}
		names := newDecoder(h.kind, r.anchor, nil, "", nil)
		q := query{base: h.query.base, scope: scopeBase, filter: everything, attributes: names.request(), elsewhere: true}
		_, err := r.pages(h.what, q, func(op cursor) error {
			rec, _, err := names.record(op)
			if err == nil {
				out[dn] = strings.Clone(string(rec.ID))
			}
			return err
		}, func() error { return nil })
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
