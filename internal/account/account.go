// Package account holds the words for what Rollcall keeps: accounts, groups and
// memberships. The planner hands them on inside changes, the store keeps them,
// and every endpoint shows them in the one JSON form of json.go.
package account

import (
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// ID names an account or a group. It is derived from where the account first
// came from (see NewID), so planning the same thing twice names it the same,
// and a change that was half applied can be applied again.
type ID [16]byte

// NewID derives an ID (a version 8 UUID, RFC 9562) from its parts: organization,
// connection, kind and external ID, and a salt where that ID is taken already.
func NewID(parts ...string) ID {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte{byte(len(p) >> 8), byte(len(p))})
		h.Write([]byte(p))
	}
	var id ID
	copy(id[:], h.Sum(nil))
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// Beside gives the ID the first six bytes of the key by which plans go through
// entries: what is written one after the other then lies side by side in the
// tables, which makes a first import a third quicker.
func (id ID) Beside(key [16]byte) ID {
	copy(id[:6], key[:])
	return id
}

// Near gives the least and the greatest of the IDs that are put beside keys from first
// to last.
func Near(first, last [16]byte) (from, to ID) {
	for i := range to {
		to[i] = 0xff
	}
	return from.Beside(first), to.Beside(last)
}

// IsZero reports the absent ID.
func (id ID) IsZero() bool { return id == ID{} }

// String is the usual text form, "" for the absent ID.
func (id ID) String() string {
	if id.IsZero() {
		return ""
	}
	b := make([]byte, 36)
	hex.Encode(b, id[:4])
	b[8] = '-'
	hex.Encode(b[9:], id[4:6])
	b[13] = '-'
	hex.Encode(b[14:], id[6:8])
	b[18] = '-'
	hex.Encode(b[19:], id[8:10])
	b[23] = '-'
	hex.Encode(b[24:], id[10:])
	return string(b)
}

var errID = errors.New("account: not an account ID")

// ParseID reads the text form.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, errID
	}
	raw := strings.ReplaceAll(s, "-", "")
	if len(raw) != 32 {
		return id, errID
	}
	if _, err := hex.Decode(id[:], []byte(raw)); err != nil {
		return ID{}, errID
	}
	return id, nil
}

// MarshalText and UnmarshalText make JSON show the text form.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads the text form; the empty text is the absent ID.
func (id *ID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = ID{}
		return nil
	}
	v, err := ParseID(string(b))
	*id = v
	return err
}

// Value stores 16 bytes, or NULL.
func (id ID) Value() (driver.Value, error) {
	if id.IsZero() {
		return nil, nil
	}
	return id[:], nil
}

// Scan reads what Value stored.
func (id *ID) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*id = ID{}
		return nil
	case []byte:
		if len(v) == 16 {
			copy(id[:], v)
			return nil
		}
	}
	return errID
}

// Status of an account or group.
type Status string

// The statuses there are. A deleted account is flagged and kept until purged.
const (
	Active   Status = "active"
	Disabled Status = "disabled"
	Deleted  Status = "deleted"
)

// Cause says what disabled or deleted an account. Only what a cause allows is
// undone by itself: an account created disabled is not enabled because its
// entry looks active.
type Cause string

// The causes.
const (
	NoCause    Cause = ""
	ByEntry    Cause = "entry"    // the directory marks the person as disabled
	ByAbsence  Cause = "absence"  // gone from the directory, or out of scope
	ByPolicy   Cause = "policy"   // create-as-disabled
	ByOperator Cause = "operator" // a person did it here
)

// Sentence tells a person what the cause was; "" for none.
func (c Cause) Sentence() string {
	switch c {
	case ByEntry:
		return "the directory says so"
	case ByAbsence:
		return "gone from the directory, or out of scope"
	case ByPolicy:
		return "`create-as-disabled` is on"
	case ByOperator:
		return "a person did it here"
	case NoCause:
	}
	return ""
}

// Local is the provider of accounts that no connection keeps.
const Local = "local"

// Account is one person as the application sees them. Absent text is "".
type Account struct {
	ID           ID
	Organization string
	Connection   string // the provider: Local or a connection's alias
	ExternalID   string
	Text         Text
	Manager      ID
	Status       Status
	Cause        Cause
	Attributes   string // custom ones: a canonical JSON object, or ""
	Groups       []ID   // filled in where a single account or a list is shown
	Version      int64  // counts writes; a change applies to the version it was planned on
	CreatedAt    time.Time
	UpdatedAt    time.Time
	DeletedAt    time.Time
}

// Left reports that the account's person left their directory: it is kept for their
// return, with its memberships, and blocks nobody's name or address.
func (a *Account) Left() bool { return HasLeft(a.Status, a.Cause) }

// HasLeft is Account.Left of a status and its cause.
func HasLeft(s Status, c Cause) bool { return s == Deleted || s == Disabled && c == ByAbsence }

// Group is a group as the application sees it.
type Group struct {
	ID           ID
	Organization string
	Connection   string
	ExternalID   string
	Name         string
	Status       Status
	Members      int // accounts in it, whatever their status; filled in where groups are shown
	Version      int64
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Membership is one account in one group.
type Membership struct {
	Group   ID
	Account ID // a member of the group, or of one nested in it
}

// Fold is the form in which usernames and e-mail addresses are compared:
// Unicode NFC, case folded, surrounding space gone.
func Fold(s string) string {
	s = strings.TrimSpace(s)
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return norm.NFC.String(cases.Fold().String(s))
		}
	}
	return strings.ToLower(s)
}
