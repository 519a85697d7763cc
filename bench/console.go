//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/rig/company"
	"rollcall.dev/rollcall/internal/rig/people"
)

// What the console's pages may be: 100 kB, and 100 ms at the server.
const (
	mostBytes = 100_000
	mostTime  = 100 * time.Millisecond
)

// looked is one page, asked for several times.
type looked struct {
	path   string
	bytes  int
	median time.Duration
	worst  time.Duration
}

// measureConsole measures how long the server takes for each page of the console
// with so many people: whole requests over loopback, one after another.
func measureConsole(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "rollcall-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	note("a company of %d people", o.console)
	c, err := company.Start(people.Options{People: o.console, Groups: o.groups, LargestGroup: min(o.console, 5000), Broken: 100, Seed: o.seed})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	f := &fleet{options: o, dir: dir}
	if f.listen, err = freePort(ctx); err != nil {
		return err
	}
	text := fmt.Sprintf(`listen: %[1]s
public_url: http://%[1]s
log: {level: warn}
rate_limits: {per_second: 0}
organizations: [{id: sample, name: Sample}]
connections:
  - {alias: hq, organization: sample, backend: {ldap: {addr: %[2]q, bind_dn: %[3]q, bind_password: %[4]q, base_dn: %[5]q, groups: {base_dn: "ou=groups,%[5]s"}}}}
`, f.listen, c.URL, c.BindDN, c.Password, c.Suffix)
	if err := os.WriteFile(filepath.Join(dir, "rollcall.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	note("importing")
	for _, step := range []struct {
		in   string
		args []string
	}{
		{"", []string{"sync", "hq"}},
		{"correct horse battery\n", []string{"admins", "create", "--email", "bench@example.com", "--password-stdin", "--name", "Bench"}},
	} {
		cmd := exec.CommandContext(ctx, o.binary, step.args...) //nolint:gosec // the program to measure
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(step.in)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", step.args[0], err, tail(string(out)))
		}
	}
	return f.serving(ctx, func(int, time.Duration) error {
		list, err := f.pages(ctx, "http://"+f.listen)
		if err != nil {
			return err
		}
		return writePages(os.Stdout, o, list)
	})
}

// pages signs in and asks for every page.
func (f *fleet) pages(ctx context.Context, base string) ([]looked, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	browser := &http.Client{Jar: jar}
	res, err := browser.PostForm(base+"/signin", url.Values{"email": {"bench@example.com"}, "password": {"correct horse battery"}})
	if err != nil {
		return nil, err
	}
	if err := res.Body.Close(); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK || res.Request.URL.Path != "/" {
		return nil, fmt.Errorf("nobody was signed in: %s at %s", res.Status, res.Request.URL.Path)
	}
	get := func(path string) (string, time.Duration, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
		if err != nil {
			return "", 0, err
		}
		start := time.Now()
		res, err := browser.Do(req)
		if err != nil {
			return "", 0, err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		took := time.Since(start)
		if err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s\n%s", path, res.Status, tail(string(body)))
		}
		if want, _, _ := strings.Cut(path, "?"); err == nil && res.Request.URL.Path != want {
			err = fmt.Errorf("%s led to %s", path, res.Request.URL.Path)
		}
		return string(body), took, err
	}
	first := func(path, prefix string) (string, error) {
		body, _, err := get(path)
		if err != nil {
			return "", err
		}
		m := regexp.MustCompile(`href="(` + prefix + `/[^"?]+)"`).FindStringSubmatch(body)
		if m == nil {
			return "", fmt.Errorf("%s leads to no %s", path, prefix)
		}
		return m[1], nil
	}
	paths := []string{"/", "/connections", "/connections/hq", "/plans", "/runs", "/people", "/people?q=smith", "/people?q=alice+smi", "/people?q=zzzz", "/people?q=%40example.org", "/people?status=disabled",
		"/groups", "/orgchart", "/disputes", "/events", "/webhooks", "/apikeys", "/organizations", "/admins", "/setups", "/settings", "/profile"}
	for _, of := range []struct{ path, prefix string }{{"/people", "/people"}, {"/groups", "/groups"}, {"/plans", "/plans"}, {"/runs", "/runs"}} {
		path, err := first(of.path, of.prefix)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
		if of.prefix == "/plans" {
			paths = append(paths, path+"?q=smith", path+"?action=add&target=membership")
		}
	}
	var out []looked
	for _, path := range paths {
		var took []time.Duration
		x := looked{path: regexp.MustCompile(`/[0-9a-z-]{16,}`).ReplaceAllString(path, "/…")}
		for range 1 + 20 {
			body, d, err := get(path)
			if err != nil {
				return nil, err
			}
			x.bytes = len(body)
			took = append(took, d)
		}
		took = took[1:] // the first one warms
		slices.Sort(took)
		x.median, x.worst = took[len(took)/2], took[len(took)-1]
		note("%-50s %6.1f ms %6.1f ms %7d bytes", x.path, x.median.Seconds()*1000, x.worst.Seconds()*1000, x.bytes)
		out = append(out, x)
	}
	return out, nil
}

func writePages(w io.Writer, o options, list []looked) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# The console with %d people\n\nWritten by `make bench BENCH=\"-console %d\"` on %s: %s, %d processors, %s. Whole requests over loopback, twenty each, SQLite.\n\n| page | median | worst | bytes |  |\n|---|---|---|---|---|\n",
		o.console, o.console, time.Now().UTC().Format("2 January 2006"), processor(), runtime.NumCPU(), runtime.Version())
	for _, x := range list {
		note := ""
		if x.median > mostTime || x.bytes > mostBytes {
			note = "**over**"
		}
		fmt.Fprintf(&text, "| `%s` | %.1f ms | %.1f ms | %d | %s |\n", x.path, x.median.Seconds()*1000, x.worst.Seconds()*1000, x.bytes, note)
	}
	_, err := io.WriteString(w, text.String())
	return err
}
