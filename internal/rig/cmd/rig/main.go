// Command rig starts the servers of the test suite by hand, and writes made-up
// directories. It hands addresses and passwords on as shell assignments:
//
//	rig people   -people 300 -groups 12 -broken 6    a directory as LDIF
//	rig changes  -people 300 -n 20 -round 0          changes to it, for ldapmodify
//	rig openldap -people 300 -env FILE               a server with it, until interrupted
//	rig samba    -env FILE                           a domain controller with the sample directory
//	rig 389ds    -env FILE                           the same in a 389 Directory Server
//	rig apacheds -env FILE                           the same in an Apache Directory Server
//	rig postgres -env FILE                           a database server, until interrupted
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"rollcall.dev/rollcall/internal/rig/openldap"
	"rollcall.dev/rollcall/internal/rig/people"
	"rollcall.dev/rollcall/internal/rig/postgres"
	"rollcall.dev/rollcall/internal/rig/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		os.Exit(1) //nolint:gocritic // the deferred stop gives signals back, which the exit does as well
	}
}

type options struct {
	people.Options
	n, round int
	env      string
	durable  bool
}

const commands = "people, changes, openldap, samba, 389ds, apacheds or postgres"

func run(ctx context.Context, args []string, out, notes io.Writer) error {
	if len(args) == 0 {
		return errors.New("expected " + commands)
	}
	var o options
	f := flag.NewFlagSet("rig "+args[0], flag.ContinueOnError)
	f.SetOutput(notes)
	f.IntVar(&o.People, "people", 0, "people in the directory")
	f.IntVar(&o.Groups, "groups", 0, "groups in the directory")
	f.IntVar(&o.Broken, "broken", 0, "people with a fault")
	f.IntVar(&o.LargestGroup, "largest", 0, "members of the largest group (default 2000)")
	f.StringVar(&o.Suffix, "suffix", "dc=example,dc=org", "suffix of the directory")
	f.Uint64Var(&o.Seed, "seed", 1, "another seed gives other people")
	f.IntVar(&o.n, "n", 100, "changes: how many")
	f.IntVar(&o.round, "round", 0, "changes: which round; no two touch the same person")
	f.StringVar(&o.env, "env", "", "write the shell assignments to this file, when the server is ready (default standard output)")
	f.BoolVar(&o.durable, "durable", false, "postgres: wait for the disk")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%s: unexpected %q", args[0], f.Arg(0))
	}
	switch args[0] {
	case "people":
		s, err := people.Write(out, o.Options)
		return tell(notes, s, err)
	case "changes":
		c, err := people.Changes(out, o.Options, o.n, o.round)
		return tell(notes, c, err)
	case "openldap":
		return runOpenLDAP(ctx, o, out)
	case "samba":
		return runSample(ctx, servers.ActiveDirectory, o.env, out)
	case "389ds":
		return runSample(ctx, servers.DirectoryServer, o.env, out)
	case "apacheds":
		return runSample(ctx, servers.ApacheDS, o.env, out)
	case "postgres":
		return runPostgres(ctx, o, out)
	}
	return fmt.Errorf("unknown %q; expected %s", args[0], commands)
}

// tell says on the side what was written, unless that failed.
func tell(notes io.Writer, counts any, err error) error {
	if err == nil {
		_, err = fmt.Fprintf(notes, "%+v\n", counts)
	}
	return err
}

func runOpenLDAP(ctx context.Context, o options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "rollcall-rig-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	start := openldap.Options{Suffix: o.Suffix}
	var s people.Stats
	if o.People > 0 {
		start.LDIF = filepath.Join(dir, "people.ldif")
		var b bytes.Buffer
		if s, err = people.Write(&b, o.Options); err != nil {
			return err
		}
		if err := os.WriteFile(start.LDIF, b.Bytes(), 0o600); err != nil {
			return err
		}
	}
	server, err := openldap.Start(ctx, start)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return serve(ctx, out, o.env, [][2]string{
		{"LDAP_URL", server.URL}, {"LDAP_TLS_URL", server.TLSURL}, {"LDAP_CA", server.CAFile}, {"LDAP_SUFFIX", server.Suffix},
		{"LDAP_BIND_DN", server.ReaderDN}, {"LDAP_PASSWORD", server.ReaderPassword},
		{"LDAP_ADMIN_DN", server.AdminDN}, {"LDAP_ADMIN_PASSWORD", server.AdminPassword},
		{"LDAP_PEOPLE", strconv.Itoa(s.People)}, {"LDAP_GROUPS", strconv.Itoa(s.Groups)},
		{"LDAP_MEMBERSHIPS", strconv.Itoa(s.Memberships)}, {"LDAP_PID", strconv.Itoa(server.Pid)},
	})
}

func runSample(ctx context.Context, vendor, env string, out io.Writer) (err error) {
	server, err := servers.Start(ctx, vendor)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return serve(ctx, out, env, [][2]string{
		{"LDAP_URL", server.URL}, {"LDAP_TLS_URL", server.TLSURL}, {"LDAP_CA", server.CAFile}, {"LDAP_SUFFIX", server.Base},
		{"LDAP_BIND_DN", server.ReaderDN}, {"LDAP_PASSWORD", server.ReaderPassword},
		{"LDAP_ADMIN_DN", server.AdminDN}, {"LDAP_ADMIN_PASSWORD", server.AdminPassword},
		{"LDAP_PEOPLE", strconv.Itoa(len(server.People()))}, {"LDAP_GROUPS", strconv.Itoa(len(servers.Groups()))},
	})
}

func runPostgres(ctx context.Context, o options, out io.Writer) (err error) {
	var opts []postgres.Option
	if o.durable {
		opts = append(opts, postgres.Durable())
	}
	server, err := postgres.Start(ctx, opts...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	return serve(ctx, out, o.env, [][2]string{{"POSTGRES_DSN", server.DSN}, {"POSTGRES_PID", strconv.Itoa(server.PID())}})
}

// serve hands the assignments on and waits to be interrupted. The file appears
// whole or not at all, so whoever waits for it may read it at once.
func serve(ctx context.Context, out io.Writer, env string, assignments [][2]string) error {
	var b strings.Builder
	for _, a := range assignments {
		fmt.Fprintf(&b, "%s='%s'\n", a[0], strings.ReplaceAll(a[1], "'", `'\''`))
	}
	if env == "" {
		if _, err := io.WriteString(out, b.String()); err != nil {
			return err
		}
	} else {
		if err := os.WriteFile(env+".part", []byte(b.String()), 0o600); err != nil {
			return err
		}
		if err := os.Rename(env+".part", env); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}
