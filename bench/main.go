//go:build unix

// Command bench measures rollcall as people run it, whole processes against a
// real OpenLDAP server, and hands on the text of docs/benchmarks.md. Every figure
// is a ratio to what nothing can beat by much: ldapsearch reading the same entries
// and attributes in the same round, and for a first import ldapsearch plus a bare
// loop that inserts the same rows.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/rig/people"
	"rollcall.dev/rollcall/internal/rig/postgres"
)

type options struct {
	sizes     []int
	databases []string
	groups    int
	rounds    int
	warm      bool
	changes   int
	seed      uint64
	binary    string

	signIns int // how many are measured, in place of runs
	pushes  int // requests of SCIM clients a round, in place of runs

	agent   int // people of a directory that is read through an agent too, in place of runs
	vendors int // people of vendors' directories, in place of runs against LDAP
	console int // people of whom the console's pages are measured

	connections int // many small ones in place of one large directory
	each        int // people of each
	workers     int
	every       time.Duration // the schedule of each
	window      time.Duration // for how long the schedule is watched
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "floor" {
		return floor(ctx, args[1:])
	}
	if len(args) > 0 && args[0] == "standin" {
		return standIn(args[1:])
	}
	var o options
	var sizes, databases string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&sizes, "people", "10000,100000", "sizes of the directory")
	f.StringVar(&databases, "databases", "sqlite,postgres", "databases to measure on")
	f.IntVar(&o.groups, "groups", 1000, "groups in the directory")
	f.IntVar(&o.rounds, "rounds", 5, "counted rounds")
	f.BoolVar(&o.warm, "warm", true, "one more round before them, which warms caches and is not counted")
	f.IntVar(&o.changes, "changes", 100, "changes between two runs")
	f.Uint64Var(&o.seed, "seed", 5, "seed of the directory; 5 gives 368,400 memberships at 100,000 people")
	f.StringVar(&o.binary, "binary", "bin/rollcall", "the program to measure")
	f.IntVar(&o.console, "console", 0, "measure the console's pages with so many people in place of runs, such as 100000")
	f.IntVar(&o.signIns, "signin", 0, "measure so many sign-ins in place of runs, such as 2000")
	f.IntVar(&o.pushes, "scim", 0, "measure so many requests of SCIM clients a round in place of runs, such as 2000")
	f.IntVar(&o.vendors, "vendors", 0, "measure reading vendors' directories (Entra ID, Okta, Google) of so many people in place of runs against LDAP, such as 100000")
	f.IntVar(&o.agent, "agent", 0, "measure reading a directory of so many people through an agent, beside reading it directly, such as 100000")
	f.IntVar(&o.connections, "connections", 0, "measure so many small connections in place of one directory, such as 10000")
	f.IntVar(&o.each, "each", 100, "with -connections: people of each")
	f.IntVar(&o.workers, "workers", 4, "with -connections: runs at a time")
	f.DurationVar(&o.every, "every", 40*time.Minute, "with -connections: how often each comes by its schedule")
	f.DurationVar(&o.window, "window", 2*time.Minute, "with -connections: for how long the schedule is watched")
	if err := f.Parse(args); err != nil {
		return err
	}
	for s := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fmt.Errorf("-people: %q is not a number of people", s)
		}
		o.sizes = append(o.sizes, n)
	}
	o.databases = strings.Split(databases, ",")
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return err
	}
	if o.binary = binary; o.rounds < 1 {
		return errors.New("-rounds: at least one")
	}
	if _, err := os.Stat(o.binary); err != nil {
		return fmt.Errorf("%w; build it with `make build`", err)
	}
	if o.signIns > 0 {
		return measureSignIns(ctx, o)
	}
	if o.pushes > 0 {
		return measurePushes(ctx, o)
	}
	if o.vendors > 0 {
		return measureVendors(ctx, o)
	}
	if o.agent > 0 {
		return measureAgent(ctx, o)
	}
	if o.console > 0 {
		return measureConsole(ctx, o)
	}
	if o.connections > 0 {
		return measureFleet(ctx, o)
	}
	r := newReport(o)
	for _, n := range o.sizes {
		if err := measureSize(ctx, o, n, r); err != nil {
			return fmt.Errorf("%d people: %w", n, err)
		}
	}
	return r.write(os.Stdout)
}

// measureSize goes through all rounds on one directory.
func measureSize(ctx context.Context, o options, n int, r *report) error {
	return o.onDirectory(ctx, n, func(b *bench) (err error) {
		for _, database := range o.databases {
			if database == "postgres" {
				if b.postgres, err = postgres.Start(ctx, postgres.Durable()); err != nil {
					return err
				}
				defer func() { err = errors.Join(err, b.postgres.Stop()) }()
			}
		}
		first := 1
		if o.warm {
			first = 0
		}
		for round := first; round <= o.rounds; round++ {
			for k := range o.databases {
				database := o.databases[(k+round)%len(o.databases)]
				note("%d people, %s, round %d of %d", n, database, round, o.rounds)
				result, err := b.round(ctx, database, round)
				if err != nil {
					return fmt.Errorf("%s, round %d: %w", database, round, err)
				}
				if round > 0 {
					r.add(n, b.stats, database, result)
				}
			}
		}
		return nil
	})
}

// onDirectory hands fn a server with a directory of n people, which goes when fn is done.
func (o options) onDirectory(ctx context.Context, n int, fn func(*bench) error) (err error) {
	dir, err := os.MkdirTemp("", "rollcall-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	directory := people.Options{People: n, Groups: o.groups, Seed: o.seed}
	ldif := filepath.Join(dir, "people.ldif")
	stats, err := writeDirectory(ldif, directory)
	if err != nil {
		return err
	}
	note("%d people, %d groups, %d memberships: loading", stats.People, stats.Groups, stats.Memberships)
	server, err := openldap.Start(ctx, openldap.Options{LDIF: ldif, MapSize: 8 << 30})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return fn(&bench{options: o, dir: dir, ldif: ldif, directory: directory, stats: stats, server: server})
}

func writeDirectory(path string, o people.Options) (stats people.Stats, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return stats, err
	}
	stats, err = people.Write(f, o)
	return stats, errors.Join(err, f.Close())
}

// note goes to standard error; the report alone goes to standard output.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
