//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/rig/scimmy"
)

const (
	pushRounds = 5
	crowd      = 100_000 // members of the large group
)

// pusher talks to a SCIM server as a client does.
type pusher struct {
	base, token string
	client      *http.Client
	// Of people that were made, in order.
	names, ids []string
}

func newPusher(base, token string) *pusher {
	return &pusher{base: base, token: token, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

func (p *pusher) ask(ctx context.Context, method, path string, body any) (map[string]any, error) {
	var in io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		in = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.base+path, in)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	if in != nil {
		r.Header.Set("Content-Type", "application/scim+json")
	}
	res, err := p.client.Do(r)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(res.Body)
	err = errors.Join(err, res.Body.Close())
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %d %.300s", method, path, res.StatusCode, raw)
	}
	if err != nil || len(raw) == 0 {
		return nil, err
	}
	out := map[string]any{}
	return out, json.Unmarshal(raw, &out)
}

// each does n things, so many at a time, and gives how many a second.
func each(n, workers int, do func(i int) error) (float64, []time.Duration, error) {
	var all sync.WaitGroup
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	took := make([]time.Duration, n)
	errs := make([]error, workers)
	began := time.Now()
	for w := range workers {
		all.Go(func() {
			for i := range next {
				at := time.Now()
				if errs[w] = do(i); errs[w] != nil {
					return
				}
				took[i] = time.Since(at)
			}
		})
	}
	all.Wait()
	wall := time.Since(began)
	slices.Sort(took)
	return float64(n) / wall.Seconds(), took, errors.Join(errs...)
}

func pushedUser(name string) map[string]any {
	return map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"}, "externalId": "x-" + name,
		"userName": name, "active": true, "displayName": "Person " + name, "name": map[string]any{"givenName": "Person", "familyName": name}, "title": "Engineer",
		"emails": []any{map[string]any{"value": name, "type": "work", "primary": true}}, "phoneNumbers": []any{map[string]any{"value": "+32 2 555 00 11", "type": "work"}},
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": map[string]any{"department": "Labs", "employeeNumber": "42"}}
}

func patchOf(op, path string, value any) map[string]any {
	one := map[string]any{"op": op, "path": path}
	if value != nil {
		one["value"] = value
	}
	return map[string]any{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"}, "Operations": []any{one}}
}

// works are what is measured of both, a round of n each.
var works = []string{"create", "read by filter", "PATCH"}

func (p *pusher) work(ctx context.Context, name string, round, n, workers int) (float64, error) {
	p.client.CloseIdleConnections() // Node closes them after five seconds, perhaps under a request
	at := len(p.ids)
	var do func(i int) error
	switch name {
	case "create":
		p.ids, p.names = append(p.ids, make([]string, n)...), append(p.names, make([]string, n)...)
		do = func(i int) error {
			user := fmt.Sprintf("person-%d-%d@sample.example", round, i)
			made, err := p.ask(ctx, http.MethodPost, "/Users", pushedUser(user))
			if err == nil {
				p.names[at+i] = user
				p.ids[at+i], _ = made["id"].(string)
			}
			return err
		}
	case "read by filter":
		do = func(i int) error {
			page, err := p.ask(ctx, http.MethodGet, "/Users?filter="+url.QueryEscape(`userName eq "`+p.names[(i*7919)%at]+`"`), nil)
			if err == nil && page["totalResults"] != 1.0 {
				err = fmt.Errorf("found %v", page["totalResults"])
			}
			return err
		}
	case "PATCH":
		do = func(i int) error {
			_, err := p.ask(ctx, http.MethodPatch, "/Users/"+p.ids[(i*7919)%at], patchOf("replace", "title", "Lead "+strconv.Itoa(round)+" "+strconv.Itoa(i)))
			return err
		}
	}
	rate, _, err := each(n, workers, do)
	return rate, err
}

// measurePushes measures inbound SCIM: against scimmy-routers, which keeps everything
// in memory, and one member more of a large group against one more of a small one.
func measurePushes(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "rollcall-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	f := &fleet{options: o, dir: dir}
	if f.listen, err = freePort(ctx); err != nil {
		return err
	}
	text := fmt.Sprintf(`listen: %[1]s
public_url: http://%[1]s
log: {level: warn}
organizations: [{id: sample, name: Sample}]
connections:
  - {alias: push, organization: sample, backend: {scim: {rate: 1000000, burst: 1000000}}}
  - {alias: crowd, organization: sample, backend: {scim: {rate: 1000000, burst: 1000000}}}
`, f.listen)
	if err := os.WriteFile(filepath.Join(dir, "rollcall.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	tokens := map[string]string{}
	for _, alias := range []string{"push", "crowd"} {
		cmd := exec.CommandContext(ctx, o.binary, "connections", "token", alias, "--output", "json") //nolint:gosec // the program to measure
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("connections token: %w\n%s", err, tail(string(out)))
		}
		var made struct {
			Token  string `json:"token"`
			Secret string `json:"secret"`
		}
		if err := json.Unmarshal(out, &made); err != nil {
			return err
		}
		tokens[alias] = made.Token + made.Secret
	}
	return f.serving(ctx, func(int, time.Duration) error { return pushBoth(ctx, o, "http://"+f.listen+"/scim/v2/", tokens) })
}

// pushBoth goes through all rounds with ours and the peer.
func pushBoth(ctx context.Context, o options, base string, tokens map[string]string) (err error) {
	peer, err := scimmy.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, peer.Stop()) }()
	both := []*pusher{newPusher(base+"push", tokens["push"]), newPusher(peer.URL, peer.Token)}
	workers := []int{1, 16}
	results := map[string][][2]float64{}
	for round := range 1 + pushRounds {
		for _, n := range workers {
			for _, name := range works {
				var rates [2]float64
				for k := range both {
					i := (k + round) % 2 // each goes first in turn
					if rates[i], err = both[i].work(ctx, name, round*100+n, o.pushes, n); err != nil {
						return err
					}
				}
				note("round %d, %2d at once, %s: %.0f/s, scimmy %.0f/s, %.1fx", round, n, name, rates[0], rates[1], rates[0]/rates[1])
				if key := fmt.Sprintf("%d|%s", n, name); round > 0 { // the first one warms
					results[key] = append(results[key], rates)
				}
			}
		}
	}
	fmt.Printf("# Inbound SCIM\n\nWritten by `make bench BENCH=\"-scim %d\"` on %s: %s, %d processors, %s. %d requests a round, the middle of %d rounds, over loopback, on SQLite; the peer is npm's scimmy-routers with everything in memory and an index by userName. A run of the connection follows the writes of ours meanwhile.\n\n",
		o.pushes, time.Now().Format("2 January 2006"), processor(), runtime.NumCPU(), runtime.Version(), o.pushes, pushRounds)
	fmt.Print("| at once | work | a second | scimmy-routers | ratio | to reach |\n|---|---|---|---|---|---|\n")
	for _, n := range workers {
		for _, name := range works {
			list := results[fmt.Sprintf("%d|%s", n, name)]
			middle := func(of func([2]float64) float64) float64 {
				all := make([]float64, len(list))
				for i, r := range list {
					all[i] = of(r)
				}
				slices.Sort(all)
				return all[len(all)/2]
			}
			fmt.Printf("| %d | %s | %.0f | %.0f | **%.1f** | 5 |\n", n, name, middle(func(r [2]float64) float64 { return r[0] }), middle(func(r [2]float64) float64 { return r[1] }), middle(func(r [2]float64) float64 { return r[0] / r[1] }))
		}
	}
	return measureCrowd(ctx, newPusher(base+"crowd", tokens["crowd"]))
}

// measureCrowd adds and removes one member of a group of 10 and of one of 100,000.
func measureCrowd(ctx context.Context, p *pusher) error {
	note("%d people for a group", crowd)
	if _, err := p.work(ctx, "create", 0, crowd+200, 16); err != nil {
		return err
	}
	member := func(i int) map[string]any { return map[string]any{"value": p.ids[i]} }
	group := func(name string, n int) (string, error) {
		made, err := p.ask(ctx, http.MethodPost, "/Groups", map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": name})
		if err != nil {
			return "", err
		}
		id, _ := made["id"].(string)
		for at := 0; at < n; at += 1000 {
			var list []any
			for i := at; i < min(n, at+1000); i++ {
				list = append(list, member(i))
			}
			if _, err := p.ask(ctx, http.MethodPatch, "/Groups/"+id, patchOf("add", "members", list)); err != nil {
				return "", err
			}
		}
		return id, nil
	}
	var ids [2]string
	var err error
	for i, n := range []int{10, crowd} {
		if ids[i], err = group(fmt.Sprintf("group of %d", n), n); err != nil {
			return err
		}
	}
	note("waiting until the run that follows has ended")
	time.Sleep(20 * time.Second)
	var took [2][]time.Duration
	for round := range 200 {
		for k := range 2 {
			i := (k + round) % 2
			for _, body := range []map[string]any{patchOf("add", "members", []any{member(crowd + round)}), patchOf("remove", fmt.Sprintf("members[value eq %q]", p.ids[crowd+round]), nil)} {
				at := time.Now()
				if _, err := p.ask(ctx, http.MethodPatch, "/Groups/"+ids[i], body); err != nil {
					return err
				}
				took[i] = append(took[i], time.Since(at))
			}
		}
	}
	for i := range took {
		slices.Sort(took[i])
	}
	middle := func(i int) time.Duration { return took[i][len(took[i])/2] }
	fmt.Printf("\nOne member added to, or taken out of, a group by PATCH, 400 times, each followed by its run within a second or so: of 10 members %.2f ms in the middle, of %d members %.2f ms: **%.2f** times (to reach: 1.5).\n",
		ms(middle(0)), crowd, ms(middle(1)), ratio(middle(1), middle(0)))
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }
