package keys

import (
	"strings"

	"rollcall.dev/rollcall/internal/fault"
)

// Scope is what a key reaches: everything, or one organization; and whether it
// may change anything there.
type Scope struct {
	Organization string // "" is all of them
	ReadOnly     bool
}

const (
	allOf    = "operator"
	readOnly = "read-only"
	tenant   = "organization:"
)

// ParseScope reads operator, read-only, organization:ID or
// organization:ID:read-only.
func ParseScope(text string) (Scope, error) {
	switch text {
	case allOf:
		return Scope{}, nil
	case readOnly:
		return Scope{ReadOnly: true}, nil
	}
	if id, ok := strings.CutPrefix(text, tenant); ok {
		id, only := strings.CutSuffix(id, ":"+readOnly)
		if id != "" && !strings.Contains(id, ":") {
			return Scope{Organization: id, ReadOnly: only}, nil
		}
	}
	return Scope{}, fault.New(fault.Invalid, "there is no scope %q", text).
		WithHint("it is operator, read-only, organization:ID or organization:ID:read-only")
}

// String is the form that ParseScope reads.
func (s Scope) String() string {
	switch {
	case s.Organization != "" && s.ReadOnly:
		return tenant + s.Organization + ":" + readOnly
	case s.Organization != "":
		return tenant + s.Organization
	case s.ReadOnly:
		return readOnly
	}
	return allOf
}

// MarshalText and UnmarshalText make JSON show that form.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads it.
func (s *Scope) UnmarshalText(b []byte) error {
	v, err := ParseScope(string(b))
	*s = v
	return err
}

// Holds reports whether a holder of this scope may give out a key of another:
// never one that reaches further than its own.
func (s Scope) Holds(other Scope) bool {
	return (s.Organization == "" || s.Organization == other.Organization) && (!s.ReadOnly || other.ReadOnly)
}
