// Package scimmy starts a third party's SCIM server on loopback, scimmy with
// scimmy-routers for node, with its storage in memory, and hands its address and
// token to tests and benchmarks.
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

// express 5 hands scimmy-routers no paging parameters.
var packages = []string{"scimmy@1.3.5", "scimmy-routers@1.3.2", "express@4.22.1"}

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

// Folder is where its packages are, for scripts that use them otherwise.
func Folder(ctx context.Context) (string, error) { return npm.Folder(ctx, packages...) }

// Start brings a server up. It ends with Stop, or with the process that started it.
func Start(ctx context.Context) (*Server, error) {
	dir, err := Folder(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{Token: "scimmy-token"}
	if s.where, err = os.MkdirTemp(dir, "run-"); err != nil {
		return nil, err
	}
	file := filepath.Join(s.where, "server.mjs")
	if err := os.WriteFile(file, script, 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.where))
	}
	s.cmd = exec.Command("node", file) //nolint:gosec // it lives as long as the server, not as ctx
	s.cmd.Env = append(os.Environ(), "TOKEN="+s.Token)
	s.cmd.Stderr = &s.log
	in, err1 := s.cmd.StdinPipe()
	out, err2 := s.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, s.cmd.Start()); err != nil {
		return nil, errors.Join(fmt.Errorf("scimmy rig: start node: %w", err), os.RemoveAll(s.where))
	}
	s.in = in
	line, err := bufio.NewReader(out).ReadString('\n')
	base, ok := strings.CutPrefix(strings.TrimSpace(line), "base ")
	if err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("scimmy rig: the server ended: %w", err), s.Stop(), errors.New(s.log.String()))
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

//go:embed validate.mjs
var validate []byte

// Refusals gives what scimmy's own checks do not accept of what a SCIM server said:
// its schemas, resources and lists, as JSON.
func Refusals(ctx context.Context, said []byte) (refusals []string, err error) {
	dir, err := Folder(ctx)
	if err != nil {
		return nil, err
	}
	where, err := os.MkdirTemp(dir, "run-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(where)) }()
	file := filepath.Join(where, "validate.mjs")
	if err := os.WriteFile(file, validate, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "node", file)
	cmd.Stdin = bytes.NewReader(said)
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("scimmy rig: %w\n%s", err, log.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if lines[len(lines)-1] != "done" {
		return nil, fmt.Errorf("scimmy rig: it did not end: %s", out)
	}
	return lines[:len(lines)-1], nil
}
