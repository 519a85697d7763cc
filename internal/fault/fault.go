// Package fault gives errors a kind, where somebody acts differently on it, and
// a hint for the person who reads it. Every package returns them; the command
// line, the API and the console each turn kinds into their own statuses.
package fault

import (
	"errors"
	"fmt"
)

// Kind is what an error means to whoever has to act on it.
type Kind uint8

// The kinds, each acted on differently.
const (
	Internal    Kind = iota // ours to mend
	NotFound                // there is no such thing
	Invalid                 // the input is wrong; the hint says how
	Conflict                // what it was based on has moved
	Denied                  // not allowed
	Unavailable             // the other side cannot be reached; try again later
	Held                    // waits for a person
)

// Error is an error with a kind and a hint.
type Error struct {
	Kind    Kind
	Message string // the doing, the thing and the cause: `ldap: search "ou=people": size limit exceeded`
	Hint    string // what to do, for a person; may be empty
	Cause   error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Cause }

// New makes an error of a kind. A %w in the format becomes its cause; the
// message is the whole formatted text.
func New(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Cause: errors.Unwrap(err)}
}

// WithHint adds what the person should do.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// KindOf gives the kind of the first *Error in the chain, or Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// HintOf gives the first hint in the chain, or "".
func HintOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Cause
	}
	return ""
}
