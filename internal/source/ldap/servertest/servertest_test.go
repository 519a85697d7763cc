// Package servertest reads the real directory servers of the rigs through the
// LDAP source, edits them and reads them again. What was seen is the table in
// docs/sources/ldap.md.
package servertest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/rig/servers"
)

var update = flag.Bool("update", false, "write the table of what was seen into docs/sources/ldap.md")

// all are the servers, each with the sample directory until the edits begin.
var all []*servers.Server

func TestMain(m *testing.M) { os.Exit(withServers(m)) }

func withServers(m *testing.M) (code int) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var err error
	if all, err = servers.StartAll(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := servers.StopAll(all); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return m.Run()
}

// check is a row of the table: something that works on a server when run gives
// no error.
type check struct {
	name string
	run  func(ctx context.Context, s *servers.Server) error
	only string            // the one vendor that has such a thing; "" is all
	but  map[string]string // by vendor: what is seen there instead, because the server cannot do otherwise
}

// verify runs a check on a server and takes down the result.
func (c *check) verify(t *testing.T, s *servers.Server, results *table) {
	t.Helper()
	if c.only != "" && c.only != s.Vendor {
		results.put(c.name, s.Vendor, "–")
		return
	}
	err := c.run(t.Context(), s)
	but := c.but[s.Vendor]
	switch {
	case but == "" && err == nil:
		results.put(c.name, s.Vendor, "yes")
	case but == "":
		results.put(c.name, s.Vendor, "**fails**")
		t.Error(err)
	case err == nil:
		results.put(c.name, s.Vendor, "yes")
		t.Errorf("this works, though it was thought that %s", but)
	default:
		results.put(c.name, s.Vendor, but)
	}
}

func TestWhatWorksOnWhichServer(t *testing.T) {
	results := &table{}
	for _, list := range [][]check{reach, readings} {
		for _, c := range list {
			results.row(c.name)
		}
	}
	for _, e := range edits {
		for _, c := range e.sees {
			results.row(c.name)
		}
	}
	for _, m := range methods {
		results.row(m.row())
	}
	results.row(chosen)
	t.Run("servers", func(t *testing.T) {
		for _, s := range all {
			t.Run(s.Vendor, func(t *testing.T) {
				t.Parallel()
				for _, list := range [][]check{reach, readings} {
					for _, c := range list {
						t.Run(c.name, func(t *testing.T) { c.verify(t, s, results) })
					}
				}
				follow(t, s, results)
			})
		}
	})
	if !results.complete() {
		t.Log("Only a part was run, which is not held against the table in docs/sources/ldap.md.")
		return
	}
	results.compare(t, "readings")
}
