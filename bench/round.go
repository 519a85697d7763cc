//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/rig/people"
	"rollcall.dev/rollcall/internal/rig/postgres"
)

type bench struct {
	options
	dir       string
	ldif      string
	directory people.Options
	stats     people.Stats
	server    *openldap.Server
	postgres  *postgres.Server
	applied   int // rounds of changes made to the directory so far
}

// cost of one process, or of several one after the other.
type cost struct {
	wall, cpu time.Duration
	rss       int64 // peak, bytes
}

func (c cost) plus(d cost) cost {
	return cost{c.wall + d.wall, c.cpu + d.cpu, max(c.rss, d.rss)}
}

// result of one round on one database.
type result struct {
	search    cost // ldapsearch of everything, to nowhere
	insert    cost // the same rows, by a bare loop
	first     cost // rollcall sync into an empty database
	unchanged cost // again, everything read
	idle      cost // again, only changes read
	changed   cost // after some changes
	many      cost // after ten times as many
	stamped   cost // ldapsearch of what has changed since, by modifyTimestamp
	replan    cost // rollcall plan after a change of a rule that concerns everybody
	reviewed  cost // the same of one that concerns one in sixteen
}

// round measures everything once. The two sides of a ratio run one right after
// the other, and change places from round to round.
func (b *bench) round(ctx context.Context, database string, round int) (result, error) {
	var r result
	dsn, err := b.freshDatabase(ctx, database, round)
	if err != nil {
		return r, err
	}
	conf := filepath.Join(b.dir, "rollcall.yaml")
	if err := b.configure(conf, dsn, "title"); err != nil {
		return r, err
	}
	steps := []func() error{
		func() (err error) { r.search, err = b.search(ctx); return },
		func() (err error) { r.insert, err = b.insert(ctx, database, round); return },
		func() (err error) { r.first, err = b.rollcall(ctx, conf, 0, "sync", "bench"); return },
	}
	if round%2 == 1 {
		steps[0], steps[1], steps[2] = steps[2], steps[0], steps[1]
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return r, err
		}
	}
	if err := b.verify(ctx, conf); err != nil {
		return r, err
	}
	if r.unchanged, err = b.rollcall(ctx, conf, 0, "sync", "bench", "--full"); err != nil {
		return r, err
	}
	if r.idle, err = b.rollcall(ctx, conf, 0, "sync", "bench"); err != nil {
		return r, err
	}
	if err := b.change(1); err != nil {
		return r, err
	}
	if r.changed, err = b.rollcall(ctx, conf, 0, "sync", "bench"); err != nil {
		return r, err
	}
	since := time.Now().UTC()
	if err := b.change(10); err != nil {
		return r, err
	}
	if r.stamped, err = b.searchFor(ctx, since.Format("(modifyTimestamp>=20060102150405Z)")); err != nil {
		return r, err
	}
	if r.many, err = b.rollcall(ctx, conf, 0, "sync", "bench"); err != nil {
		return r, err
	}
	// Who was renamed is still in groups by their old name: a full run follows that, and
	// the plans below are of the rule alone.
	if _, err = b.rollcall(ctx, conf, 0, "sync", "bench", "--full"); err != nil {
		return r, err
	}
	if err := b.configure(conf, dsn, "{expr: 'title + \"!\"'}"); err != nil {
		return r, err
	}
	if r.replan, err = b.rollcall(ctx, conf, 3, "plan", "bench"); err != nil {
		return r, err
	}
	if err := b.configure(conf, dsn, `{expr: 'title == "Nurse" ? "Head nurse" : title'}`); err != nil {
		return r, err
	}
	r.reviewed, err = b.rollcall(ctx, conf, 3, "plan", "bench")
	return r, err
}

// change makes some changes to the directory that none before made.
func (b *bench) change(times int) error {
	var changes bytes.Buffer
	for range times {
		if _, err := people.Changes(&changes, b.directory, b.changes, b.applied); err != nil {
			return err
		}
		b.applied++
	}
	return b.server.Modify(changes.String())
}

// freshDatabase gives the address of an empty one.
func (b *bench) freshDatabase(ctx context.Context, database string, round int) (string, error) {
	if database == "postgres" {
		return b.postgres.NewDatabase(ctx)
	}
	old, err := filepath.Glob(filepath.Join(b.dir, "round-*.db*"))
	if err != nil {
		return "", err
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			return "", err
		}
	}
	return "sqlite:" + filepath.Join(b.dir, fmt.Sprintf("round-%d.db", round)), nil
}

// configure writes a configuration with the fourteen attributes mapped. Limits
// are off: what is measured here is work, not caution.
func (b *bench) configure(path, dsn, title string) error {
	text := fmt.Sprintf(`database: %q
connections:
  - alias: bench
    limits: {removals: 100%%, membership_removals: 100%%, group_removals: 100%%, identity_changes: 100%%}
    backend:
      ldap:
        addr: %s
        bind_dn: %q
        bind_password: %q
        base_dn: %q
        groups: {base_dn: %q}
    mapping:
      username: uid
      email: mail
      first_name: givenName
      last_name: sn
      display_name: displayName
      mobile_phone: mobile
      phone: telephoneNumber
      language: preferredLanguage
      title: %s
      department: departmentNumber
      location: l
      manager: manager
      full_name: cn
      badge: employeeNumber
`, dsn, b.server.URL, b.server.ReaderDN, b.server.ReaderPassword, b.server.Suffix, "ou=groups,"+b.server.Suffix, title)
	return os.WriteFile(path, []byte(text), 0o600)
}

// search reads people and groups as rollcall does, and throws them away.
func (b *bench) search(ctx context.Context) (cost, error) { return b.searchFor(ctx, "") }

// searchFor is search with another condition.
func (b *bench) searchFor(ctx context.Context, condition string) (cost, error) {
	password := filepath.Join(b.dir, "reader.pw")
	if err := os.WriteFile(password, []byte(b.server.ReaderPassword), 0o600); err != nil {
		return cost{}, err
	}
	common := []string{"-x", "-LLL", "-H", b.server.URL, "-D", b.server.ReaderDN, "-y", password, "-E", "pr=1000/noprompt"}
	users := slices.Concat(common, []string{"-b", b.server.Suffix, "(&(objectClass=inetOrgPerson)" + condition + ")", "entryUUID"}, people.Attributes())
	groups := slices.Concat(common, []string{"-b", "ou=groups," + b.server.Suffix, "(&(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames))" + condition + ")",
		"entryUUID", "cn", "member", "uniqueMember"})
	first, _, err := measure(exec.CommandContext(ctx, "ldapsearch", users...), 0, false)
	if err != nil {
		return cost{}, err
	}
	second, _, err := measure(exec.CommandContext(ctx, "ldapsearch", groups...), 0, false)
	return first.plus(second), err
}

// insert runs the bare loop in a process of its own, which reports what the
// inserting alone cost.
func (b *bench) insert(ctx context.Context, database string, round int) (cost, error) {
	self, err := os.Executable()
	if err != nil {
		return cost{}, err
	}
	dsn := "sqlite:" + filepath.Join(b.dir, fmt.Sprintf("floor-%d.db", round))
	if database == "postgres" {
		if dsn, err = b.postgres.NewDatabase(ctx); err != nil {
			return cost{}, err
		}
	}
	_, out, err := measure(exec.CommandContext(ctx, self, "floor", b.ldif, dsn), 0, true)
	if err != nil {
		return cost{}, err
	}
	var f struct {
		Wall, CPU time.Duration
		RSS       int64
	}
	if err := json.Unmarshal(out, &f); err != nil {
		return cost{}, fmt.Errorf("floor said %q: %w", out, err)
	}
	return cost{f.Wall, f.CPU, f.RSS}, nil
}

func (b *bench) rollcall(ctx context.Context, conf string, status int, args ...string) (cost, error) {
	c, _, err := measure(b.command(ctx, conf, args...), status, false)
	return c, err
}

func (b *bench) command(ctx context.Context, conf string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.binary, append([]string{"--config", conf}, args...)...)
	cmd.Dir = b.dir
	return cmd
}

// verify makes sure that what was measured did the work: the newest run is
// applied and created an account for each person. Every round of changes has as
// many joiners as leavers, so their number stays.
func (b *bench) verify(ctx context.Context, conf string) error {
	runs, err := b.runs(ctx, conf, 1)
	if err != nil {
		return err
	}
	if len(runs) == 0 {
		return errors.New("the first import left no run")
	}
	if r := runs[0]; r.State != "applied" || r.Summary.Create != b.stats.People {
		return fmt.Errorf("the first import is %s and created %d accounts for %d people", r.State, r.Summary.Create, b.stats.People)
	}
	return nil
}

// ran is what is looked at of a run.
type ran struct {
	State      string
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	Summary    struct{ Create, Update int }
}

func (r ran) took() time.Duration { return r.FinishedAt.Sub(r.StartedAt) }

// runs gives the newest runs, the newest first.
func (b *bench) runs(ctx context.Context, conf string, n int) ([]ran, error) {
	_, out, err := measure(b.command(ctx, conf, "runs", "list", "--output", "json", "--limit", strconv.Itoa(n)), 0, true)
	if err != nil {
		return nil, err
	}
	var runs []ran
	if err := json.Unmarshal(out, &runs); err != nil {
		return nil, fmt.Errorf("runs list said %q: %w", out, err)
	}
	return runs, nil
}

// measure runs a process to its end, with its output thrown away unless wanted.
// Its error names the command and what it said. The peak of memory is the
// kernel's; it counts what this process had when it started the other, so this
// one stays small.
func measure(cmd *exec.Cmd, status int, wanted bool) (cost, []byte, error) {
	var out, notes bytes.Buffer
	if wanted {
		cmd.Stdout = &out
	}
	cmd.Stderr = &notes
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		return cost{}, nil, err
	}
	if code != status {
		return cost{}, nil, fmt.Errorf("%s: exit status %d, want %d\n%s", strings.Join(cmd.Args, " "), code, status, tail(notes.String()))
	}
	c := cost{wall: wall, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.rss = peak(u)
	}
	return c, out.Bytes(), nil
}

// peak is the largest resident size in bytes: kilobytes in Linux, bytes in macOS.
func peak(u *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" {
		return u.Maxrss
	}
	return u.Maxrss << 10
}

func tail(s string) string {
	if len(s) > 2000 {
		return "..." + s[len(s)-2000:]
	}
	return s
}
