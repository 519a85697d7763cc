package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/fault"
)

// manager is one that writes down what it is told, and asks by its own kind of request.
type manager struct {
	*testing.T
	requests chan string
	told     chan Report
	ended    chan error
}

var kinds = map[string]Request{"stop": Stop, "shutdown": Shutdown, "change": ParamChange, "ask": Interrogate, "pause": 2}

func managed(t *testing.T, drain time.Duration, prepare func() (Work, error)) *manager {
	t.Helper()
	m := &manager{t, make(chan string), make(chan Report, 9), make(chan error, 1)}
	go func() {
		m.ended <- attend(m.requests, func(s string) Request { return kinds[s] }, func(r Report) { m.told <- r }, drain, prepare)
	}()
	return m
}

func (m *manager) hears(want State) Report {
	m.Helper()
	select {
	case got := <-m.told:
		if got.State != want {
			m.Fatalf("it is %s, want %s", got.State, want)
		}
		return got
	case <-m.Context().Done():
		m.Fatalf("nothing said of being %s", want)
		return Report{}
	}
}

func (m *manager) end() error {
	m.Helper()
	select {
	case err := <-m.ended:
		return err
	case <-m.Context().Done():
		m.Fatal("it does not end")
		return nil
	}
}

func TestTheManagersRequestsReachTheAgent(t *testing.T) {
	for _, how := range []string{"stop", "shutdown"} {
		t.Run(how, func(t *testing.T) {
			read, leaving, left := make(chan os.Signal), make(chan struct{}), make(chan struct{})
			m := managed(t, time.Minute, func() (Work, error) {
				return func(ctx context.Context, reload <-chan os.Signal) error {
					for {
						select {
						case s := <-reload:
							read <- s
						case <-ctx.Done():
							close(leaving)
							<-left // what goes on
							return nil
						}
					}
				}, nil
			})
			if r := m.hears(StartPending); r.Asked || r.Wait <= 0 {
				t.Errorf("while it starts: %+v", r)
			}
			if r := m.hears(Running); !r.Asked || r.Wait != 0 {
				t.Errorf("while it runs: %+v", r)
			}
			m.requests <- "ask"
			m.hears(Running)
			m.requests <- "pause"
			for range 3 {
				m.requests <- "change"
				<-read
			}
			m.requests <- how
			if r := m.hears(StopPending); r.Asked || r.Wait < time.Minute {
				t.Errorf("while what goes on ends: %+v", r)
			}
			<-leaving
			m.requests <- "change" // too late, and no harm
			m.requests <- "ask"
			m.hears(StopPending)
			close(left)
			if err := m.end(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Somebody who asks often while the agent is busy is not made to wait: what is read
// afterwards is the newest file either way.
func TestRequestsWaitForNobody(t *testing.T) {
	m := managed(t, time.Hour, func() (Work, error) {
		return func(ctx context.Context, reload <-chan os.Signal) error {
			<-ctx.Done()
			if len(reload) != 1 {
				return fmt.Errorf("%d readings wait, want one", len(reload))
			}
			return nil
		}, nil
	})
	m.hears(StartPending)
	m.hears(Running)
	for range 20 {
		m.requests <- "change"
	}
	m.requests <- "stop"
	m.hears(StopPending)
	if err := m.end(); err != nil {
		t.Error(err)
	}
}

func TestWhatFailsIsTheServicesEnd(t *testing.T) {
	broken := errors.New("broken")
	m := managed(t, time.Hour, func() (Work, error) { return nil, broken })
	m.hears(StartPending)
	if err := m.end(); !errors.Is(err, broken) || len(m.told) > 0 {
		t.Errorf("settings that are wrong: %v, and %d reports after", err, len(m.told))
	}
	m = managed(t, time.Hour, func() (Work, error) {
		return func(context.Context, <-chan os.Signal) error { return broken }, nil
	})
	m.hears(StartPending)
	m.hears(Running)
	if err := m.end(); !errors.Is(err, broken) {
		t.Errorf("an agent that fails: %v", err)
	}
}

func TestAStateIsWaitedFor(t *testing.T) {
	every := make(chan time.Time)
	close(every)
	states := func(s ...State) func() (State, error) {
		return func() (State, error) {
			first := s[0]
			if len(s) > 1 {
				s = s[1:]
			}
			return first, nil
		}
	}
	if err := await(t.Context(), Running, states(StartPending, StartPending, Running), every); err != nil {
		t.Error(err)
	}
	if err := await(t.Context(), Stopped, states(Running, StopPending, Stopped), every); err != nil {
		t.Error(err)
	}
	if err := await(t.Context(), Running, states(StartPending, Stopped), every); err == nil || !strings.Contains(fault.HintOf(err), "event log") {
		t.Errorf("one that fails at once: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := await(ctx, Stopped, states(StopPending), nil); err == nil || !strings.Contains(err.Error(), "still stopping") {
		t.Errorf("one that takes too long: %v", err)
	}
	broken := errors.New("broken")
	if err := await(t.Context(), Stopped, func() (State, error) { return 0, broken }, every); !errors.Is(err, broken) {
		t.Errorf("a manager that does not answer: %v", err)
	}
}

// The numbers of services that are on every Windows.
func TestAServicesIdentityComesFromItsName(t *testing.T) {
	for name, want := range map[string]string{
		"TrustedInstaller": "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
		"trustedinstaller": "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
		"WdiServiceHost":   "S-1-5-80-3139157870-2983391045-3678747466-658725712-1809340420",
	} {
		if got := identity(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestNobodyElseMayReadTheSettings(t *testing.T) {
	for what, rights := range map[string]string{"folder": folderRights, "file": fileRights} {
		owner, list, _ := strings.Cut(rights, "D:")
		if owner != "O:BA" || !strings.HasPrefix(list, "P(") {
			t.Errorf("%s: it is not the administrators', or takes rights from above: %s", what, rights)
		}
		var who []string
		for _, entry := range strings.Split(strings.Trim(list[1:], "()"), ")(") {
			fields := strings.Split(entry, ";")
			who = append(who, fields[5])
			if fields[0] != "A" || fields[5] == identity(Name) && fields[2] != "FR" && fields[2] != "FRFX" {
				t.Errorf("%s: %s", what, entry)
			}
		}
		if !slices.Equal(who, []string{"SY", "BA", identity(Name)}) {
			t.Errorf("%s is open to %v", what, who)
		}
	}
}

func TestTheCommandLineIsQuoted(t *testing.T) {
	for program, want := range map[string]string{
		`C:\Program Files\Rollcall\rollcall.exe`: `"C:\Program Files\Rollcall\rollcall.exe" agent run`,
		`C:\x.exe`:                               `"C:\x.exe" agent run`,
		`D:\odd "name"\x.exe`:                    `"D:\odd \"name\"\x.exe" agent run`,
		`D:\odd\" --addr evil`:                   `"D:\odd\\\" --addr evil" agent run`,
		`D:\folder\`:                             `"D:\folder\\" agent run`,
	} {
		if got := commandLine(program); got != want {
			t.Errorf("%s:\n%s, want\n%s", program, got, want)
		}
	}
}
