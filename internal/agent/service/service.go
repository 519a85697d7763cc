// Package service has the service manager of Windows run the agent. It hands the
// manager's requests on to the agent, what the agent is about on to the manager, and its
// log to the event log; and it puts program, settings and service in their places. What
// is the same on every machine is here and tested everywhere; what only Windows can do
// stands in the files named for it.
package service

import (
	"context"
	"os"
	"time"
)

// Name is what the service, its source of events and its account are called.
const Name = "rollcall-agent"

// Request is what the manager asks for, by the numbers of its control codes.
type Request uint32

// The requests that are answered; others change nothing.
const (
	Stop        Request = 1
	Interrogate Request = 4
	Shutdown    Request = 5
	ParamChange Request = 6
)

// State is how a service is, by the manager's numbers.
type State uint32

// The states an agent passes through.
const (
	Stopped      State = 1
	StartPending State = 2
	StopPending  State = 3
	Running      State = 4
)

func (s State) String() string {
	switch s {
	case Stopped:
		return "stopped"
	case StartPending:
		return "starting"
	case StopPending:
		return "stopping"
	case Running:
		return "running"
	}
	return "paused"
}

// Report is what the manager is told.
type Report struct {
	State State
	// Asked says whether requests to stop and to read the file anew are listened to.
	Asked bool
	// Wait is how long the manager should wait for the next state.
	Wait time.Duration
}

// Work is what runs until its context ends; each value of reload has its file read anew.
type Work func(ctx context.Context, reload <-chan os.Signal) error

// anew is a value for Work's reload: on Windows no signal says it.
type anew struct{}

func (anew) String() string { return "parameter change" }
func (anew) Signal()        {}

// starting is how long the manager waits for the settings to be read.
const starting = 30 * time.Second

// attend does work under the manager. Where prepare fails nothing was begun. What goes
// on when the manager asks to stop has drain to end, and the manager knows of it. What
// it gives back is the work's error; the manager learns that it stopped from the caller.
func attend[T any](requests <-chan T, kind func(T) Request, report func(Report), drain time.Duration, prepare func() (Work, error)) error {
	now := Report{State: StartPending, Wait: starting}
	report(now)
	work, err := prepare()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	reload, ended := make(chan os.Signal, 1), make(chan error, 1)
	go func() { ended <- work(ctx, reload) }()
	now = Report{State: Running, Asked: true}
	report(now)
	for {
		select {
		case err := <-ended:
			return err
		case r := <-requests:
			switch kind(r) {
			case Interrogate:
				report(now)
			case ParamChange:
				select {
				case reload <- anew{}:
				default: // it is about to be read anyhow
				}
			case Stop, Shutdown:
				now = Report{State: StopPending, Wait: drain + starting}
				report(now)
				cancel()
			default: // not asked for, so nothing to do
			}
		}
	}
}
