package source

import (
	"context"

	"rollcall.dev/rollcall/internal/setting"
)

// Remote is how a connection is read that has agents: programs in its owner's network,
// which dial out. Engine and sign-in use it in place of the connection's own kind.
type Remote struct {
	Kind Kind // what is read there
	// Own says that an agent's file says what is read: the connection's settings of
	// its source are not sent, and need not be whole.
	Own bool
	// Basis is a fingerprint of what in such a file decides who is read; "" while no agent
	// is connected that would say.
	Basis string
	// Policies are what the agents' files allow; the stricter one counts, key by key.
	Policies []setting.Policy
	// Shown are those settings in such a file that the engine itself goes by.
	Shown setting.Values
	// Open and Authenticator are like those of a Kind. Neither reaches an agent.
	Open          func() (Source, error)
	Authenticator func() (Authenticator, error)
}

// RemoteBasis is the name by which Basis stands among a connection's settings of its
// source; those it has from no file. UnknownBasis stands there while it is not known.
const (
	RemoteBasis  = "agent.basis"
	UnknownBasis = "unknown"
)

// EngineOptions are the names of settings that the engine itself goes by.
var EngineOptions = []string{"groups.members_only", "people"}

// Remotes finds it. nil without an error is a connection that has no agents.
type Remotes func(ctx context.Context, c setting.Connection) (*Remote, error)
