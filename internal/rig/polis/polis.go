// Package polis starts the SCIM server of a product on loopback, Ory Polis for node,
// with its storage in memory, and hands its address and token to tests of what pushes
// accounts. It is lax where scimmy is strict: its filter looks at e-mail addresses
// alone, lists of groups have no IDs, and nobody is told who is in a group.
package polis

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"rollcall.dev/rollcall/internal/rig/npm"
)

const product = "@boxyhq/saml-jackson@26.2.0"

//go:embed server.mjs
var script []byte

// Server is a running server.
type Server struct {
	URL   string // that /Users is appended to
	Token string // what it lets clients in with

	cmd   *exec.Cmd
	in    io.WriteCloser
	where string
	log   bytes.Buffer
}

// Start brings a server up. It ends with Stop, or with the process that started it.
func Start(ctx context.Context) (*Server, error) {
	dir, err := npm.Folder(ctx, product)
	if err != nil {
		return nil, err
	}
	s := &Server{}
	if s.where, err = os.MkdirTemp(dir, "run-"); err != nil {
		return nil, err
	}
	file := filepath.Join(s.where, "server.mjs")
	if err := os.WriteFile(file, script, 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.where))
	}
	s.cmd = exec.Command("node", file) //nolint:gosec // it lives as long as the server, not as ctx
	s.cmd.Stderr = &s.log
	in, err1 := s.cmd.StdinPipe()
	out, err2 := s.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, s.cmd.Start()); err != nil {
		return nil, errors.Join(fmt.Errorf("polis rig: start node: %w", err), os.RemoveAll(s.where))
	}
	s.in = in
	line, err := bufio.NewReader(out).ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) != 3 || words[0] != "base" {
		return nil, errors.Join(fmt.Errorf("polis rig: the server ended: %w", err), s.Stop(), errors.New(s.log.String()))
	}
	s.URL, s.Token = words[1], words[2]
	return s, nil
}

// Stop ends it.
func (s *Server) Stop() error {
	_ = s.in.Close() // that is its sign
	_ = s.cmd.Wait() // how it ended does not matter
	return os.RemoveAll(s.where)
}
