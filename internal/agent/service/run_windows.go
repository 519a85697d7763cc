package service

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"

	"rollcall.dev/rollcall/internal/fault"
)

// Started says whether the service manager started this program.
func Started() (bool, error) { return svc.IsWindowsService() }

// Run runs the program under the manager that started it.
func Run(p Program) error {
	// Somebody who logs off is a SIGTERM to Go, in every service of the machine. The
	// manager says what is meant for this one.
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	to, err := eventlog.Open(Name)
	if err != nil {
		return fault.New(fault.Unavailable, "open the event log: %w", err)
	}
	defer to.Close()
	h := &handler{Program: p, log: eventLogger(to, func(w io.Writer) *slog.Logger { return p.Log(w) })}
	if err := svc.Run(Name, h); err != nil {
		return fault.New(fault.Internal, "run as a service: %w", err)
	}
	return h.err
}

// handler is what the manager talks to.
type handler struct {
	Program
	log *slog.Logger
	err error
}

// Execute is called once, when the service starts. A failure is a number of the
// service's own, so that the manager starts it again.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, to chan<- svc.Status) (own bool, code uint32) {
	h.err = attend(requests, func(r svc.ChangeRequest) Request { return Request(r.Cmd) }, func(r Report) {
		s := svc.Status{State: svc.State(r.State), WaitHint: uint32(r.Wait.Milliseconds())}
		if r.Asked {
			s.Accepts = svc.AcceptStop | svc.AcceptShutdown | svc.AcceptParamChange
		}
		to <- s
	}, h.Drain, func() (Work, error) {
		if err := enter(); err != nil {
			return nil, err
		}
		return h.Prepare(h.log)
	})
	if h.err != nil {
		h.log.Error("the agent ended", "error", h.err.Error(), "hint", fault.HintOf(h.err))
		return true, 1
	}
	h.log.Info("the agent was stopped")
	return false, 0
}

// enter makes the folder of settings the current one, and what stands in its environment
// file the environment.
func enter() error {
	at, err := folders()
	if err != nil {
		return err
	}
	if err := os.Chdir(filepath.Dir(at.settings)); err != nil {
		return fault.New(fault.Invalid, "the folder of settings: %w", err).WithHint("`rollcall agent service install` makes it")
	}
	text, err := os.ReadFile(at.settings)
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Invalid, "%s is missing", at.settings).WithHint("`rollcall agent service install` makes it")
	}
	if err != nil {
		return fault.New(fault.Invalid, "the settings: %w", err)
	}
	set, err := environment(text)
	if err != nil {
		return fault.New(fault.Invalid, "%s: %w", at.settings, err)
	}
	for _, v := range set {
		if err := os.Setenv(v.Name, v.Value); err != nil {
			return fault.New(fault.Invalid, "%s: %s: %w", at.settings, v.Name, err)
		}
	}
	return nil
}
