package source

import (
	"context"

	"rollcall.dev/rollcall/internal/directory"
)

// Authenticator proves people's passwords against their directory. It is opened
// once for a connection's settings, keeps connections of its own, and may be used
// by many at the same time.
type Authenticator interface {
	// Prove looks for the one person a login leads to, with the account that reads,
	// and then tries the password, once and on one server, by the name the directory
	// gave. Neither is empty, nor holds a NUL: whoever calls has refused that.
	// attributes are those wanted of the record, as in Request. Whatever the
	// directory says is a Proof; an error says that it could not be asked, a
	// fault.Unavailable where another try may do better.
	Prove(ctx context.Context, login, password string, attributes []string) (Proof, error)
	// Find is Prove for somebody whom another has vouched for: it looks, and tries no
	// password.
	Find(ctx context.Context, login string, attributes []string) (Proof, error)
	Close() error
}

// Standing is how a directory takes a sign-in.
type Standing string

// The standings. All from Disabled on may be known only because the password was
// right, see Proof.Right.
const (
	Proved      Standing = "proved"       // the password is the person's
	Nobody      Standing = "nobody"       // the login leads to nobody
	Several     Standing = "several"      // the login leads to more than one
	Wrong       Standing = "wrong"        // the password is not the person's
	Disabled    Standing = "disabled"     // the directory lets the person in nowhere
	Ended       Standing = "ended"        // the person's account there has an end date, which is over
	Locked      Standing = "locked"       // too many wrong passwords, or by an administrator
	Expired     Standing = "expired"      // the password is too old
	MustChange  Standing = "must_change"  // it has to be changed at the first sign-in
	NotHere     Standing = "not_here"     // not from this machine, or not at this time
	NotReadable Standing = "not_readable" // proved, but the entry lies outside of what the connection reads
)

// Proof is what came of it.
type Proof struct {
	Standing Standing
	// Right says that the password is known to be the person's, whatever else
	// stands in the way.
	Right bool
	// Name is the entry's, for whoever supports people; "" where there is none.
	Name string
	// Detail is what the server said, fit for a line of a log.
	Detail string
	// Record is the person's, whole, as a reading would bring it; nil where the
	// login leads to nobody or to several, and of NotReadable.
	Record *directory.Record
}
