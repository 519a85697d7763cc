package service

import (
	"context"
	"io"
	"log/slog"
	"time"

	"rollcall.dev/rollcall/internal/fault"
)

// Program is what runs as the service.
type Program struct {
	// Log makes the log, whose lines become events.
	Log func(io.Writer) *slog.Logger
	// Prepare reads the settings. The environment file counts as environment by then, and
	// the folder of settings is the current one.
	Prepare func(*slog.Logger) (Work, error)
	// Drain is how long what goes on may take to end.
	Drain time.Duration
}

// Installed says where everything of the service is, and how it is.
type Installed struct {
	State    string `json:"state"`
	Process  uint32 `json:"process,omitempty"`
	Account  string `json:"account"`
	Start    string `json:"start"`
	Command  string `json:"command"`
	Settings string `json:"settings"` // the environment file
	// Lacking is what this system's manager does not know of.
	Lacking []string `json:"lacking,omitempty"`
}

// await asks until a service is in the state that is wanted. One that goes back to being
// stopped on its way to run has failed.
func await(ctx context.Context, want State, query func() (State, error), every <-chan time.Time) error {
	for {
		state, err := query()
		switch {
		case err != nil:
			return err
		case state == want:
			return nil
		case want == Running && state == Stopped:
			return fault.New(fault.Unavailable, "the service %s ended as soon as it was started", Name).WithHint("the event log says why: Get-WinEvent -ProviderName %s -MaxEvents 5 | Format-List", Name)
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "the service %s is still %s: %w", Name, state, ctx.Err()).WithHint("`rollcall agent service status` says whether it gets there yet")
		case <-every:
		}
	}
}
