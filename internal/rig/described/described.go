// Package described stands between a source and the stand-in for its vendor, checks
// every request and answer against the vendor's own description of the API, and hands
// what does not agree on to tests. It finds a stand-in that drifts from the real
// shapes and a client that sends what the vendor does not know.
package described

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

// Graph describes Microsoft Graph; README.md says where it is from.
//
//go:embed graph.yaml
var Graph []byte

//go:embed proxy.mjs
var script []byte

var packages = []string{"ajv@8.20.0", "ajv-formats@3.0.1", "js-yaml@4.1.0"}

// Proxy is a running proxy.
type Proxy struct {
	URL string // in place of the stand-in's

	cmd   *exec.Cmd
	in    io.WriteCloser
	where string
	log   bytes.Buffer
}

// Start puts a proxy before upstream (http://127.0.0.1:1234), which has to put the
// proxy's address into the links it gives.
func Start(ctx context.Context, description []byte, upstream string) (*Proxy, error) {
	dir, err := npm.Folder(ctx, packages...)
	if err != nil {
		return nil, err
	}
	p := &Proxy{}
	if p.where, err = os.MkdirTemp(dir, "run-"); err != nil {
		return nil, err
	}
	file, spec := filepath.Join(p.where, "proxy.mjs"), filepath.Join(p.where, "api.yaml")
	if err := errors.Join(os.WriteFile(file, script, 0o600), os.WriteFile(spec, description, 0o600)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.where))
	}
	p.cmd = exec.Command("node", file, "--spec", spec, "--upstream", upstream) //nolint:gosec // it lives as long as the proxy, not as ctx
	p.cmd.Stderr = &p.log
	in, err1 := p.cmd.StdinPipe()
	out, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2, p.cmd.Start()); err != nil {
		return nil, errors.Join(fmt.Errorf("described rig: start node: %w", err), os.RemoveAll(p.where))
	}
	p.in = in
	line, err := bufio.NewReader(out).ReadString('\n')
	base, ok := strings.CutPrefix(strings.TrimSpace(line), "base ")
	if err != nil || !ok {
		_, stopped := p.Stop()
		return nil, errors.Join(fmt.Errorf("described rig: the proxy ended: %w", err), stopped, errors.New(p.log.String()))
	}
	p.URL = base
	return p, nil
}

// Stop ends it and gives what did not agree with the description, a line each.
func (p *Proxy) Stop() (violations []string, err error) {
	_ = p.in.Close() // that is its sign
	_ = p.cmd.Wait() // how it ended does not matter
	for line := range strings.Lines(p.log.String()) {
		violations = append(violations, strings.TrimSpace(line))
	}
	return violations, os.RemoveAll(p.where)
}
