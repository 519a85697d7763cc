package host

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func newHost(t *testing.T, dir string) *Host {
	t.Helper()
	h, err := New("sample", dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func TestAPortIsClaimedByOneAndGivenBack(t *testing.T) {
	a, b := newHost(t, ""), newHost(t, "")
	ports, err := a.Claim(3)
	if err != nil {
		t.Fatal(err)
	}
	if b.claim("127.0.0.1", ports[2]) {
		t.Error("two claim the same port")
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	if !b.claim("127.0.0.1", ports[2]) {
		t.Error("the port was not given back")
	}
}

func TestTheFolderIsFilledOnceAndEmptiedByAReset(t *testing.T) {
	dir := t.TempDir()
	fills, seeds := 0, 0
	life := func(h *Host) Life {
		return Life{
			Fill:    func(context.Context) error { fills++; return h.WriteFile(filepath.Join(h.Data, "config"), nil) },
			Command: func() *exec.Cmd { return exec.Command("sleep", "600") },
			Answers: func() error { return nil },
			Seed:    func(context.Context) error { seeds++; return nil },
		}
	}
	h := newHost(t, dir)
	if err := h.Begin(t.Context(), life(h)); err != nil {
		t.Fatal(err)
	}
	if err := h.WriteFile(filepath.Join(h.Data, "later"), nil); err != nil {
		t.Fatal(err)
	}
	first := h.Pid
	if err := h.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.Pid == first || fills != 1 {
		t.Errorf("process %d, before %d; filled %d times", h.Pid, first, fills)
	}
	if err := h.Stop(); err != nil {
		t.Fatal(err)
	}
	again := newHost(t, dir)
	if err := again.Begin(t.Context(), life(again)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(again.Data, "later")); err != nil || fills != 1 || seeds != 1 {
		t.Errorf("%v; filled %d times, seeded %d times", err, fills, seeds)
	}
	if err := again.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(again.Data, "later")); !errors.Is(err, fs.ErrNotExist) || fills != 2 || seeds != 2 {
		t.Errorf("%v; filled %d times, seeded %d times", err, fills, seeds)
	}
}

func TestAServerThatEndsAtOnceSaysWhy(t *testing.T) {
	h := newHost(t, "")
	err := h.Begin(t.Context(), Life{
		Command: func() *exec.Cmd { return exec.Command("sh", "-c", "echo no such module; exit 1") },
		Answers: func() error { return errors.New("not yet") },
	})
	if err == nil || !strings.Contains(err.Error(), "no such module") {
		t.Errorf("%v", err)
	}
}

func TestAServerThatNeverAnswersIsEnded(t *testing.T) {
	h := newHost(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	err := h.Begin(ctx, Life{
		Command: func() *exec.Cmd { return exec.Command("sleep", "600") },
		Answers: func() error { cancel(); return errors.New("not yet") },
	})
	if !errors.Is(err, context.Canceled) || h.Pid != 0 {
		t.Errorf("%v; process %d", err, h.Pid)
	}
}

// Apache and Samba have children, who do not die with their parent.
func TestAServersChildrenAreKilledWithIt(t *testing.T) {
	h := newHost(t, "")
	held, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	err = h.Begin(t.Context(), Life{Answers: func() error { return nil }, Command: func() *exec.Cmd {
		c := exec.Command("sh", "-c", "sleep 600 & echo >&3; wait")
		c.ExtraFiles = []*os.File{ours}
		return c
	}})
	if err = errors.Join(err, ours.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := held.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	h.Kill()
	// The end comes when nobody has the pipe open, the child neither.
	if err := held.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := held.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a child goes on: %v", err)
	}
}
