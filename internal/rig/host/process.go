package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience is how long a server may take to end in good order.
const patience = 30 * time.Second

type process struct {
	*os.Process
	ended chan struct{}
}

// Resume starts a halted server with the data it has and returns when it
// answers.
func (h *Host) Resume(ctx context.Context) error {
	if h.stopped || h.process != nil {
		return h.failed("start it", errors.New("it runs already, or was stopped for good"))
	}
	log, err := os.Create(h.log())
	if err != nil {
		return h.failed("make its log", err)
	}
	defer log.Close()
	cmd := h.life.Command()
	cmd.Stdout, cmd.Stderr = log, log
	dieWithUs(cmd)
	if err := cmd.Start(); err != nil {
		return h.failed("start it", err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	h.process, h.Pid = &process{cmd.Process, ended}, cmd.Process.Pid

	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		not := h.life.Answers()
		if not == nil {
			return nil
		}
		select {
		case <-ended:
			h.process, h.Pid = nil, 0
			return h.failed("start it", fmt.Errorf("it ended: %s", h.said()))
		case <-ctx.Done():
			h.Kill()
			return h.failed("wait for it", fmt.Errorf("%w (%w): %s", ctx.Err(), not, h.said()))
		case <-tick.C:
		}
	}
}

// Halt ends the process in good order. Data and addresses stay, and Resume goes
// on with them.
func (h *Host) Halt() {
	if h.process != nil {
		_ = h.process.Signal(syscall.SIGTERM) // not there any more is as good as ended
		h.end(patience)
	}
}

// Kill ends the process where it stands, as a power cut would: what was written
// last may be lost, since no rig waits for the disk.
func (h *Host) Kill() {
	if h.process != nil {
		h.end(0)
	}
}

// end waits so long for the process to end by itself.
func (h *Host) end(wait time.Duration) {
	select {
	case <-h.process.ended:
	case <-time.After(wait):
		killAll(h.process.Process)
		<-h.process.ended
	}
	h.process, h.Pid = nil, 0
}

func (h *Host) log() string { return filepath.Join(h.Dir, "log") }

// said is the end of what the server wrote.
func (h *Host) said() string {
	text, _ := os.ReadFile(h.log())
	return end(text)
}

func end(text []byte) string {
	text = bytes.TrimSpace(text)
	return string(text[max(0, len(text)-2000):])
}

// Run runs a program to its end. What it complained of is part of the error.
func (h *Host) Run(ctx context.Context, stdin, name string, args ...string) error {
	path, err := h.Tool(name)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Run(); err != nil {
		return h.failed(name, fmt.Errorf("%w: %s", err, end(complaints.Bytes())))
	}
	return nil
}

// Tool finds a program. The servers' folders are often not in an ordinary
// user's PATH.
func (h *Host) Tool(name string) (string, error) {
	if p, err := exec.LookPath(name); err == nil {
		return p, nil
	}
	for _, d := range []string{"/usr/sbin", "/usr/local/sbin"} {
		if p, err := exec.LookPath(filepath.Join(d, name)); err == nil {
			return p, nil
		}
	}
	return "", h.failed("find "+name, errors.New("it is not installed (scripts/install-tools.sh installs it)"))
}
