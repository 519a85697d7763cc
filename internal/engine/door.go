package engine

import (
	"context"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/setting"
)

// Refusal says why somebody whom the directory vouches for gets no account.
type Refusal string

// The refusals.
const (
	NotRefused       Refusal = ""
	AccountDisabled  Refusal = "disabled"     // the account, or what the directory says of the person
	NotInScope       Refusal = "not_in_scope" // the connection's scope, or an entry that cannot be used
	LicenceFull      Refusal = "licence_full"
	WaitsForDecision Refusal = "waits" // a plan, a dispute or changed rules wait for a person
)

// Admission is what became of somebody at the door.
type Admission struct {
	Account *account.Account // as it is now; nil where there is none
	Refusal Refusal
	Detail  string // why, for whoever supports people
	Run     string // the run that made or changed the account; "" where nothing had to be done
}

// Door lets the people of one connection in, whom the directory vouches for: by
// the same stages as a run. It is made once for a connection's settings and may be
// used by many at the same time.
type Door struct {
	e *Engine
	c setting.Connection
}

// Door opens one. It asks the directory what it is, once.
func (e *Engine) Door(ctx context.Context, c setting.Connection) (*Door, error) {
	return &Door{e: e, c: c}, nil
}

// Attributes are those that the directory is to be asked for.
func (d *Door) Attributes() []string { return nil }

// Admit gives the account of the person a record is of, made or changed where the
// record says something new. Who is known and has not changed costs two reads.
func (d *Door) Admit(ctx context.Context, r *directory.Record, actor string) (Admission, error) {
	return Admission{}, nil
}
