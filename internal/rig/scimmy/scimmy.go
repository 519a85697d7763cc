// Package scimmy starts somebody else's SCIM server on loopback, scimmy for node, and
// hands its address to tests of what pushes accounts.
package scimmy

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

// Version 5 of express loses the parameters of pages.
var packages = []string{"scimmy@1.3.5", "scimmy-routers@1.3.2", "express@4.21.2"}

//go:embed scimmy.mjs
var script []byte

// Server is a running one.
type Server struct {
	URL   string // that /Users is appended to
	Token string

	cmd   *exec.Cmd
	in    io.Closer
	where string
}

// Start brings a server up. It ends with Stop, or with the process that started it.
func Start(ctx context.Context) (*Server, error) {
	dir, err := npm.Folder(ctx, packages...)
	if err != nil {
		return nil, err
	}
	s := &Server{Token: "open-sesame"}
	if s.where, err = os.MkdirTemp("", "scimmy-"); err != nil {
		return nil, err
	}
	file := filepath.Join(s.where, "scimmy.mjs")
	if err := os.WriteFile(file, script, 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.where))
	}
	var log bytes.Buffer
	s.cmd = exec.Command("node", file) //nolint:gosec // it lives as long as the server, not as ctx
	s.cmd.Env = append(os.Environ(), "MODULES="+dir, "TOKEN="+s.Token)
	s.cmd.Stderr = &log
	in, err1 := s.cmd.StdinPipe()
	out, err2 := s.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, s.cmd.Start()); err != nil {
		return nil, errors.Join(fmt.Errorf("scimmy rig: start node: %w", err), os.RemoveAll(s.where))
	}
	s.in = in
	line, err := bufio.NewReader(out).ReadString('\n')
	base, ok := strings.CutPrefix(strings.TrimSpace(line), "base ")
	if err != nil || !ok {
		err = errors.Join(err, s.Stop())
		return nil, fmt.Errorf("scimmy rig: it did not begin: %w\n%s", err, log.String())
	}
	s.URL = base
	return s, nil
}

// Stop ends it.
func (s *Server) Stop() error {
	_ = s.in.Close() // that is its sign
	_ = s.cmd.Wait() // how it ended does not matter
	return os.RemoveAll(s.where)
}
