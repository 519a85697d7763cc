// Package signed says to pages of the console who is signed in, as the
// administrators' tables know them, and whether they gave a password or a code
// lately: what is dangerous asks for one first.
package signed

import (
	"errors"

	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/store/admins"
)

// In is somebody who is signed in.
type In struct {
	Session *admins.Session
	Admin   *admins.Administrator
	By      admins.By
}

// Who gives who makes a request.
func Who(q *shell.Ask, table *admins.Admins) (*In, error) {
	s, a, err := table.Check(q.R.Context(), q.Token())
	if err != nil {
		return nil, err
	}
	return &In{s, a, admins.As(a)}, nil
}

// Fresh is Who for what is dangerous. Where no password or code was given lately it
// sends the browser to the page that asks for one, which comes back to a path of
// ours, and gives nil.
func Fresh(q *shell.Ask, table *admins.Admins, back string) (*In, error) {
	in, err := Who(q, table)
	if err != nil {
		return nil, err
	}
	if !table.Fresh(in.Session) {
		Again(q, back)
		return nil, nil
	}
	return in, nil
}

// Again sends the browser to the page that asks for the password or a code.
func Again(q *shell.Ask, back string) {
	q.Redirect("/confirm?next=" + shell.Escape(back))
}

// Stale reports that something was refused for want of a password or code.
func Stale(err error) bool { return errors.Is(err, admins.ErrStale) }
