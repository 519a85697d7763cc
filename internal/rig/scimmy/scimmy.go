// Package scimmy starts a third party's SCIM server on loopback, scimmy with
// scimmy-routers for node, with its storage in memory, and hands its address and
// token to tests and benchmarks.
package scimmy

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
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
	*npm.Process
	URL   string // that /Users is appended to
	Token string // what it lets clients in with
}

// Start brings a server up. It ends with Stop, or with the process that started it.
func Start(ctx context.Context) (*Server, error) {
	const token = "scimmy-token"
	p, base, err := npm.Begin(ctx, npm.Script{Name: "scimmy", Packages: packages, Main: script, Env: []string{"TOKEN=" + token}}, "base ")
	if err != nil {
		return nil, err
	}
	return &Server{p, base, token}, nil
}

//go:embed validate.mjs
var validate []byte

// Refusals gives what scimmy's own checks do not accept of what a SCIM server said:
// its schemas, resources and lists, as JSON.
func Refusals(ctx context.Context, said []byte) (refusals []string, err error) {
	dir, err := npm.Folder(ctx, packages...)
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
