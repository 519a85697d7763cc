//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/rig/people"
)

// vendorKinds are measured one after the other. least is how few requests the vendor's
// API lets a client do with, of u people and g groups of 20 members, and with du and dg
// of them changed.
var vendorKinds = []struct {
	name, title string
	full        func(u, g int) int
	changes     func(u, g, du, dg int) int
	how         string
}{
	{"entra", "Microsoft Entra ID",
		func(u, g int) int { return 1 + pages(u, 200) + pages(g, 200) },
		func(_, _, du, dg int) int { return 1 + pages(du, 200) + pages(dg, 200) },
		"a token, and the pages of both deltas, of 200 entries each, which is Microsoft's choice; a reading of changes goes on from both links. Beyond it are a full reading's lists of all ids (999 a page), which prove that nobody is missing, and of changes the whole entries of who changed (15 a request)"},
	{"okta", "Okta",
		func(u, g int) int { return 1 + pages(u, 200) + 1 + pages(g, 200) + g },
		func(_, _, du, dg int) int { return 1 + pages(du, 200) + 1 + dg },
		"a token, the pages of people (200), one of the deprovisioned, whom the list leaves out, those of groups (200), and one for the members of each group, which no other call tells; of changes those of people and groups updated, and the members of each group whose memberships were. Beyond it is a full reading's question for who was updated meanwhile"},
	{"google", "Google Workspace",
		func(u, g int) int { return 1 + pages(u, 500) + pages(g, 200) + g },
		func(u, g, _, _ int) int { return 1 + pages(u, 500) + pages(g, 200) + g },
		"a token, the pages of people (500) and groups (200), and one for the members of each group. There is no call for changes: each reading is a full one"},
}

func pages(n, size int) int { return max(1, (n+size-1)/size) }

// vendorCost is a run against a stand-in.
type vendorCost struct {
	cost
	requests int
}

// measureVendors runs whole processes against the stand-ins of the vendors.
func measureVendors(ctx context.Context, o options) error {
	u, g := o.vendors, o.vendors/10
	if g == 0 {
		return errors.New("-vendors: at least 10 people")
	}
	du, dg := max(1, u/1000), max(1, u/10000)
	fmt.Printf("## Vendors' directories of %d people and %d groups\n\n", u, g)
	fmt.Printf("Written by `make bench BENCH=\"-vendors %d\"` on %s: %s, %d processors, %s. Whole processes on SQLite against stand-ins on the same machine, which answer at once: what is measured is our work, not the\nvendors' patience. Groups have 20 members. Between the runs %d people and the members of %d groups change. Requests are all that were sent, for tokens too.\n\n",
		u, time.Now().UTC().Format("2 January 2006"), processor(), runtime.NumCPU(), runtime.Version(), du, dg)
	fmt.Print("| | run | requests | the least | ratio | wall s | CPU s | peak MiB |\n|---|---|---|---|---|---|---|---|\n")
	for _, k := range vendorKinds {
		runs, err := measureVendor(ctx, o, k.name)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		for _, r := range []struct {
			name  string
			least int
			cost  vendorCost
		}{{"first import", k.full(u, g), runs[0]}, {"full, nothing changed", k.full(u, g), runs[1]}, {"incremental, 0.1 % changed", k.changes(u, g, du, dg), runs[2]}} {
			fmt.Printf("| %s | %s | %d | %d | **%.2f** | %.2f | %.2f | %.0f |\n", k.title, r.name, r.cost.requests, r.least, float64(r.cost.requests)/float64(r.least),
				r.cost.wall.Seconds(), r.cost.cpu.Seconds(), float64(r.cost.rss)/(1<<20))
		}
	}
	fmt.Printf("\nLoad at the end: %s. The least that each API allows is reckoned as:\n\n", load())
	for _, k := range vendorKinds {
		fmt.Printf("- **%s**: %s.\n", k.title, k.how)
	}
	return nil
}

func measureVendor(ctx context.Context, o options, kind string) (out [3]vendorCost, err error) {
	dir, err := os.MkdirTemp("", "rollcall-bench-")
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	self, err := os.Executable()
	if err != nil {
		return out, err
	}
	note("%s: filling the stand-in", kind)
	standin := exec.CommandContext(ctx, self, "standin", kind, strconv.Itoa(o.vendors)) //nolint:gosec // this program
	standin.Stderr = os.Stderr
	in, err1 := standin.StdinPipe()
	answer, err2 := standin.StdoutPipe()
	if err := errors.Join(err1, err2, standin.Start()); err != nil {
		return out, err
	}
	defer func() {
		_ = in.Close() // that is its sign
		err = errors.Join(err, standin.Wait())
	}()
	var at struct {
		Base     string
		Settings map[string]any
	}
	if err := json.NewDecoder(answer).Decode(&at); err != nil {
		return out, err
	}
	conf := map[string]any{"database": "sqlite:rollcall.db", "webhooks": map[string]any{"allow_private": true}, "connections": []any{map[string]any{
		"alias": "bench", "backend": map[string]any{kind: at.Settings}, "limits": map[string]any{"removals": "100%", "membership_removals": "100%", "group_removals": "100%", "identity_changes": "100%"},
	}}}
	text, err := json.Marshal(conf) // which is YAML too
	if err != nil {
		return out, err
	}
	path := filepath.Join(dir, "rollcall.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return out, err
	}
	b := &bench{options: o, dir: dir, stats: people.Stats{People: o.vendors}}
	for i, args := range [][]string{{"sync", "bench"}, {"sync", "bench", "--full"}, {"sync", "bench"}} {
		if i == 2 {
			if _, err := askStandIn(ctx, http.MethodPost, at.Base+"/bench/change"); err != nil {
				return out, err
			}
		}
		if _, err := askStandIn(ctx, http.MethodGet, at.Base+"/bench/requests"); err != nil {
			return out, err
		}
		note("%s: %s", kind, strings.Join(args, " "))
		if out[i].cost, err = b.rollcall(ctx, path, 0, args...); err != nil {
			return out, err
		}
		said, err := askStandIn(ctx, http.MethodGet, at.Base+"/bench/requests")
		if err != nil {
			return out, err
		}
		if out[i].requests, err = strconv.Atoi(said); err != nil {
			return out, err
		}
		if i == 0 {
			if err := b.verify(ctx, path); err != nil {
				return out, err
			}
		}
	}
	return out, b.verifyChange(ctx, path, max(1, o.vendors/1000))
}

// verifyChange makes sure that the newest run changed as many accounts as people changed.
func (b *bench) verifyChange(ctx context.Context, conf string, changed int) error {
	runs, err := b.runs(ctx, conf, 1)
	if err != nil {
		return err
	}
	if len(runs) == 0 || runs[0].State != "applied" || runs[0].Summary.Update != changed {
		return fmt.Errorf("the run of changes is to update %d accounts: %+v", changed, runs)
	}
	return nil
}

func askStandIn(ctx context.Context, method, address string) (said string, err error) {
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}
