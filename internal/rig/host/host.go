// Package host gives a directory server of the tests its folder, its addresses
// and its process, and looks after them until the end. The rigs of Samba, 389
// Directory Server and ApacheDS are built on it and hand it on as their own
// Halt, Resume, Restart, Reset and Stop.
package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Life is what one kind of server does at its stations. Paths are below
// Host.Data; all functions but Command may be left out.
type Life struct {
	// Fill writes configuration and first data into the empty Data.
	Fill func(ctx context.Context) error
	// Command is the server in the foreground, a new one at each call.
	Command func() *exec.Cmd
	// Answers is nil once the server does what it is there for.
	Answers func() error
	// Seed brings in, over the network, what Fill cannot. It is called once,
	// when the filled server answers for the first time.
	Seed func(ctx context.Context) error
}

// Host is the folder and process of one server.
type Host struct {
	Dir  string // holds what stays: certificates, passwords, the log
	Data string // below Dir: what Reset throws away
	Pid  int    // 0 while the server is halted

	name    string
	life    Life
	own     bool // Dir is ours to remove
	process *process
	atStop  []func() // give back what was claimed
	stopped bool
}

// New makes the folder of a server called name, or takes dir where it is not
// "". Nothing is started yet; Stop is due from here on.
func New(name, dir string) (*Host, error) {
	h := &Host{name: name}
	var err error
	if dir == "" {
		if dir, err = os.MkdirTemp("", "rollcall-"+name+"-"); err != nil {
			return nil, h.failed("make its folder", err)
		}
		h.own = true
	}
	if h.Dir, err = filepath.Abs(dir); err != nil {
		return nil, h.failed("find its folder", err)
	}
	h.Data = filepath.Join(h.Dir, "data")
	// Servers that run as users of their own have to pass through.
	if err := errors.Join(os.MkdirAll(h.Data, 0o711), os.Chmod(h.Dir, 0o711)); err != nil {
		return nil, errors.Join(h.failed("make its folder", err), h.Stop())
	}
	return h, nil
}

// Begin starts the server, filled first where its folder does not hold one from
// before. The context bounds the start only.
func (h *Host) Begin(ctx context.Context, life Life) error {
	h.life = life
	_, err := os.Stat(h.mark())
	if err == nil {
		return h.Resume(ctx)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return h.failed("look for its data", err)
	}
	return h.Reset(ctx)
}

// mark is a file that is there when Fill and Seed have come to their ends.
func (h *Host) mark() string { return filepath.Join(h.Dir, "filled") }

// Reset throws the data away and starts anew with what the server began with.
// Addresses, certificates and passwords stay.
func (h *Host) Reset(ctx context.Context) error {
	h.Kill()
	if err := errors.Join(os.RemoveAll(h.mark()), os.RemoveAll(h.Data), os.Mkdir(h.Data, 0o711)); err != nil {
		return h.failed("empty its folder", err)
	}
	if h.life.Fill != nil {
		if err := h.life.Fill(ctx); err != nil {
			return err
		}
	}
	if err := h.Resume(ctx); err != nil {
		return err
	}
	if h.life.Seed != nil {
		if err := h.life.Seed(ctx); err != nil {
			return err
		}
	}
	return h.WriteFile(h.mark(), nil)
}

// Restart ends the server in good order and starts it with the same data at the
// same addresses.
func (h *Host) Restart(ctx context.Context) error {
	h.Halt()
	return h.Resume(ctx)
}

// Stop ends the server and removes its folder if New made it. It may be called
// again.
func (h *Host) Stop() error {
	if h.stopped {
		return nil
	}
	h.stopped = true
	if h.own {
		h.Kill() // nobody needs the data of a folder that goes away
	}
	h.Halt()
	for _, release := range h.atStop {
		release()
	}
	if !h.own {
		return nil
	}
	if err := os.RemoveAll(h.Dir); err != nil {
		return h.failed("remove its folder", err)
	}
	return nil
}

// WriteFile writes a file that only its owner may read.
func (h *Host) WriteFile(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return h.failed("write "+filepath.Base(path), err)
	}
	return nil
}

func (h *Host) failed(doing string, err error) error {
	return fmt.Errorf("%s rig: %s: %w", h.name, doing, err)
}
