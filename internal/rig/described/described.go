// Package described stands between a source and the stand-in for its vendor, checks
// every request and answer against the vendor's own description of the API, and hands
// what does not agree on to tests. It finds a stand-in that drifts from the real
// shapes and a client that sends what the vendor does not know.
package described

import (
	"context"
	_ "embed"
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
	URL     string // in place of the stand-in's
	process *npm.Process
}

// Start puts a proxy before upstream (http://127.0.0.1:1234), which has to put the
// proxy's address into the links it gives.
func Start(ctx context.Context, description []byte, upstream string) (*Proxy, error) {
	p, base, err := npm.Begin(ctx, npm.Script{Name: "described", Packages: packages, Main: script, Files: map[string][]byte{"api.yaml": description},
		Args: []string{"--spec", "api.yaml", "--upstream", upstream}}, "base ")
	if err != nil {
		return nil, err
	}
	return &Proxy{base, p}, nil
}

// Stop ends it and gives what did not agree with the description, a line each.
func (p *Proxy) Stop() (violations []string, err error) {
	err = p.process.Stop()
	for line := range strings.Lines(p.process.Log()) {
		violations = append(violations, strings.TrimSpace(line))
	}
	return violations, err
}
