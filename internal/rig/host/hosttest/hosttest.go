// Package hosttest holds what every rig of a directory server must do, as a
// test that each rig's own tests run.
package hosttest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"rollcall.dev/rollcall/internal/rig/host"
)

// Server is a started rig.
type Server interface {
	Restart(ctx context.Context) error
	Reset(ctx context.Context) error
	Stop() error
}

// Started is a server with what its rig says of it.
type Started struct {
	Server
	host.Access
	Dir string
	Pid func() int
}

// child tells a test process that it is the one to be killed, and in which
// folder it starts its server.
const child = "ROLLCALL_RIG_CHILD"

// Run checks a rig by its start function; "" is a folder of its own.
func Run(t *testing.T, start func(ctx context.Context, dir string) (*Started, error)) {
	up := func(t *testing.T, dir string) *Started {
		t.Helper()
		s, err := start(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	if dir := os.Getenv(child); dir != "" {
		s := up(t, dir)
		if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "pid"), []byte(strconv.Itoa(s.Pid())), 0o600); err != nil {
			t.Fatal(err)
		}
		<-t.Context().Done() // until killed
	}

	dir := filepath.Join(t.TempDir(), "server")
	for _, d := range []string{filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		// A server that runs as another user has to pass through.
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	first := up(t, dir)
	t.Run("it answers with and without TLS, to administrator and reader", func(t *testing.T) {
		for _, url := range []string{first.URL, first.TLSURL} {
			for dn, password := range map[string]string{first.AdminDN: first.AdminPassword, first.ReaderDN: first.ReaderPassword} {
				c, err := host.Connect(url, first.CAFile, dn, password)
				if err != nil {
					t.Error(err)
					continue
				}
				_ = c.Close()
			}
		}
		if n := count(t, first, "(objectClass=organizationalUnit)"); n < 2 {
			t.Errorf("the reader sees %d units", n)
		}
	})
	t.Run("a restart keeps data and addresses, a reset the addresses alone", func(t *testing.T) {
		add(t, first, "probe")
		was := first.Access
		if err := first.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := count(t, first, "(ou=probe)"); n != 1 || first.Access != was {
			t.Errorf("%d entries after the restart; reached by %s, before by %s", n, first.URL, was.URL)
		}
		if err := first.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := count(t, first, "(ou=probe)"); n != 0 || first.Access != was {
			t.Errorf("%d entries after the reset; reached by %s, before by %s", n, first.URL, was.URL)
		}
	})
	t.Run("two do not collide, and one leaves neither process nor folder", func(t *testing.T) {
		second := up(t, "")
		if second.URL == first.URL || second.TLSURL == first.TLSURL {
			t.Fatalf("both are at %s and %s", first.URL, first.TLSURL)
		}
		add(t, second, "second")
		if n := count(t, first, "(ou=second)"); n != 0 {
			t.Error("what one was told the other knows")
		}
		pid := second.Pid()
		if err := second.Stop(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(second.Dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("its folder: %v", err)
		}
		if runs(pid) {
			t.Error("its process goes on")
		}
	})
	t.Run("a folder starts again", func(t *testing.T) {
		add(t, first, "kept")
		if err := first.Stop(); err != nil {
			t.Fatal(err)
		}
		again := up(t, dir)
		if n := count(t, again, "(ou=kept)"); n != 1 {
			t.Errorf("%d entries of before", n)
		}
		if err := again.Stop(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("it ends when its test is killed", func(t *testing.T) { killed(t, dir) })
}

// killed starts this test once more as another process, which starts the server
// of the folder and is then killed.
func killed(t *testing.T, dir string) {
	name, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.Command(os.Args[0], "-test.run", "^"+name+"$")
	cmd.Env = append(os.Environ(), child+"="+dir)
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	var pid int
	until(t, "the other process has started the server", func() bool {
		select {
		case <-ended:
			t.Fatalf("it ended: %s", out)
		default:
		}
		text, _ := os.ReadFile(filepath.Join(filepath.Dir(dir), "pid"))
		pid, _ = strconv.Atoi(string(text))
		return pid != 0
	})
	if !runs(pid) {
		t.Errorf("process %d is not there", pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ended
	until(t, "the server has ended with it", func() bool { return !runs(pid) })
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// runs is true of a process that is neither gone nor only waited for.
func runs(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil || p.Signal(syscall.Signal(0)) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

func add(t *testing.T, s *Started, ou string) {
	t.Helper()
	c, err := s.Admin()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := ldap.NewAddRequest("ou="+ou+","+s.Base, nil)
	r.Attribute("objectClass", []string{"organizationalUnit"})
	if err := c.Add(r); err != nil {
		t.Fatal(err)
	}
}

func count(t *testing.T, s *Started, filter string) int {
	t.Helper()
	c, err := s.Reader()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := c.Search(ldap.NewSearchRequest(s.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, []string{"1.1"}, nil))
	if err != nil {
		t.Fatal(err)
	}
	return len(r.Entries)
}
