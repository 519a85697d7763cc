// Package polis starts the SCIM server of a product on loopback, Ory Polis for node,
// with its storage in memory, and hands its address and token to tests of what pushes
// accounts. It is lax where scimmy is strict: its filter looks at e-mail addresses
// alone, lists of groups have no IDs, and nobody is told who is in a group.
package polis

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"rollcall.dev/rollcall/internal/rig/npm"
)

const product = "@boxyhq/saml-jackson@26.2.0"

//go:embed server.mjs
var script []byte

// Server is a running server.
type Server struct {
	*npm.Process
	URL   string // that /Users is appended to
	Token string // what it lets clients in with
}

// Start brings a server up. It ends with Stop, or with the process that started it.
func Start(ctx context.Context) (*Server, error) {
	p, line, err := npm.Begin(ctx, npm.Script{Name: "polis", Packages: []string{product}, Main: script}, "base ")
	if err != nil {
		return nil, err
	}
	base, token, ok := strings.Cut(line, " ")
	if !ok {
		return nil, errors.Join(fmt.Errorf("polis rig: it said %q", line), p.Stop())
	}
	return &Server{p, base, token}, nil
}
