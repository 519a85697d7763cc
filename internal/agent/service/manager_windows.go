package service

import (
	"context"
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"

	"rollcall.dev/rollcall/internal/fault"
)

// refused says what the manager did not do.
func refused(doing string, err error) error {
	switch {
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return fault.New(fault.Denied, "%s: only administrators may", doing).WithHint(`open PowerShell by "Run as administrator"`)
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		return fault.New(fault.NotFound, "the service %s is not installed", Name).WithHint("`rollcall agent service install --addr HOST:PORT` installs it")
	case errors.Is(err, windows.ERROR_SERVICE_MARKED_FOR_DELETE):
		return fault.New(fault.Conflict, "%s: the service that was removed is still open somewhere", doing).WithHint("close the windows that show services, and try again")
	case errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE):
		return fault.New(fault.Conflict, "the service %s does not run", Name).WithHint("`rollcall agent service start` starts it")
	}
	return fault.New(fault.Unavailable, "%s: %w", doing, err)
}

// open gives the service to do something with, with no more rights than that needs.
func open(doing string, rights uint32, fn func(*mgr.Service) error) error {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return refused(doing, err)
	}
	defer windows.CloseServiceHandle(manager) //nolint:errcheck // nothing is lost with it
	name, err := windows.UTF16PtrFromString(Name)
	if err != nil {
		return refused(doing, err)
	}
	h, err := windows.OpenService(manager, name, rights|windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return refused(doing, err)
	}
	s := &mgr.Service{Name: Name, Handle: h}
	defer s.Close()
	return fn(s)
}

// tick is how often the manager is asked whether a state is reached.
const tick = 200 * time.Millisecond

// reach waits until the service is in a state.
func reach(ctx context.Context, s *mgr.Service, want State) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	every := time.NewTicker(tick)
	defer every.Stop()
	return await(ctx, want, func() (State, error) {
		now, err := s.Query()
		if err != nil {
			return 0, refused("ask for the state", err)
		}
		return State(now.State), nil
	}, every.C)
}

// Begin starts the service and waits until it runs.
func Begin(ctx context.Context) error {
	const doing = "start the service"
	return open(doing, windows.SERVICE_START, func(s *mgr.Service) error {
		if err := s.Start(); err != nil && !errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
			return refused(doing, err)
		}
		return reach(ctx, s, Running)
	})
}

// End stops the service and waits until what goes on has ended.
func End(ctx context.Context) error {
	const doing = "stop the service"
	return open(doing, windows.SERVICE_STOP, func(s *mgr.Service) error { return end(ctx, doing, s) })
}

func end(ctx context.Context, doing string, s *mgr.Service) error {
	_, err := s.Control(svc.Stop)
	if err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) && !errors.Is(err, windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL) {
		return refused(doing, err)
	}
	return reach(ctx, s, Stopped)
}

// Reload has the service read the agent's file anew.
func Reload() error {
	const doing = "have the file read anew"
	return open(doing, windows.SERVICE_PAUSE_CONTINUE, func(s *mgr.Service) error {
		if _, err := s.Control(svc.ParamChange); err != nil {
			return refused(doing, err)
		}
		return nil
	})
}

// Look says how the service is. Everybody may.
func Look() (out Installed, err error) {
	const doing = "look at the service"
	at, err := folders()
	if err != nil {
		return out, err
	}
	err = open(doing, windows.SERVICE_QUERY_CONFIG, func(s *mgr.Service) error {
		now, err := s.Query()
		if err != nil {
			return refused(doing, err)
		}
		// As much as there can be, by the documentation of the manager.
		buffer := make([]byte, 8<<10)
		config, n := (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&buffer[0])), uint32(len(buffer))
		if err := windows.QueryServiceConfig(s.Handle, config, n, &n); err != nil {
			return refused(doing, err)
		}
		out = Installed{State: State(now.State).String(), Process: now.ProcessId, Account: windows.UTF16PtrToString(config.ServiceStartName), Command: windows.UTF16PtrToString(config.BinaryPathName), Settings: at.settings, Start: "by hand"}
		switch config.StartType {
		case mgr.StartAutomatic:
			out.Start = "automatic"
		case mgr.StartDisabled:
			out.Start = "disabled"
		}
		return nil
	})
	return out, err
}

// Ready says whether the service can be installed by who runs this, and whether there are
// settings from before.
func Ready() (known bool, err error) {
	m, err := mgr.Connect()
	if err != nil {
		return false, refused("install the service", err)
	}
	defer m.Disconnect() //nolint:errcheck // nothing is lost with it
	at, err := folders()
	if err != nil {
		return false, err
	}
	text, err := at.kept()
	return text != nil, err
}

// virtual is the account that Windows makes for a service of this name: it has no password,
// no rights of its own, and no other service is it. Where the manager has no such
// accounts the service is one of the least that there are; its files are its own either way.
const (
	virtual = `NT SERVICE\` + Name
	least   = `NT AUTHORITY\LocalService`
)

// Install puts program, settings and service in their places. What is there is brought up
// to date; a service that ran runs again afterwards.
func Install(set []Variable) (out Installed, err error) {
	const doing = "install the service"
	m, err := mgr.Connect()
	if err != nil {
		return out, refused(doing, err)
	}
	defer m.Disconnect() //nolint:errcheck // nothing is lost with it
	at, err := folders()
	if err != nil {
		return out, err
	}
	if err := at.shut(); err != nil {
		return out, err
	}
	text, err := at.kept()
	if err != nil {
		return out, err
	}
	if text, err = with(text, set); err != nil {
		return out, fault.New(fault.Invalid, "%s: %w", at.settings, err)
	}
	if err := at.write(text); err != nil {
		return out, err
	}
	s, err := m.OpenService(Name)
	ran := false
	switch {
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		if err := at.place(); err != nil {
			return out, err
		}
		if s, err = create(m, at); err != nil {
			return out, refused(doing, err)
		}
	case err != nil:
		return out, refused(doing, err)
	default:
		ran, err = halt(s)
		if err == nil {
			err = at.place()
		}
		if err != nil {
			return out, errors.Join(err, s.Close())
		}
	}
	defer s.Close()
	lacking, err := configure(s, at)
	if err != nil {
		return out, err
	}
	_ = eventlog.Remove(Name) //nolint:errcheck // there is mostly none
	if err := eventlog.InstallAsEventCreate(Name, eventlog.Info|eventlog.Warning|eventlog.Error); err != nil {
		return out, refused("make the service known to the event log", err)
	}
	if ran {
		if err := Begin(context.Background()); err != nil {
			return out, err
		}
	}
	out, err = Look()
	out.Lacking = lacking
	return out, err
}

// create makes the service; configure says how it is to be.
func create(m *mgr.Mgr, at places) (*mgr.Service, error) {
	return m.CreateService(Name, at.program, mgr.Config{ServiceStartName: least}, "agent", "run")
}

// halt stops a service that is there, so that its program can be replaced, and says
// whether it ran.
func halt(s *mgr.Service) (ran bool, err error) {
	now, err := s.Query()
	if err != nil {
		return false, refused("look at the service", err)
	}
	return now.State != svc.Stopped, end(context.Background(), "stop the service", s)
}

// configure says how the service is to be, whatever it was. What the manager does not
// know of, Wine's for one, it gives back in words.
func configure(s *mgr.Service, at places) (lacking []string, err error) {
	account := virtual
	err = basics(s, at, account)
	if errors.Is(err, windows.ERROR_INVALID_SERVICE_ACCOUNT) {
		account = least
		err = basics(s, at, account)
	}
	if err != nil {
		return nil, refused("configure the service", err)
	}
	about, err := windows.UTF16PtrFromString("Reads a directory, and tries passwords, for a Rollcall server.")
	if err != nil {
		return nil, refused("configure the service", err)
	}
	const day = 24 * 60 * 60
	restarts := []mgr.RecoveryAction{{Type: mgr.ServiceRestart, Delay: 5 * time.Second}, {Type: mgr.ServiceRestart, Delay: 30 * time.Second}, {Type: mgr.ServiceRestart, Delay: time.Minute}}
	own, later := uint32(windows.SERVICE_SID_TYPE_UNRESTRICTED), windows.SERVICE_DELAYED_AUTO_START_INFO{IsDelayedAutoStartUp: 1}
	change := func(level uint32, info unsafe.Pointer) error {
		return windows.ChangeServiceConfig2(s.Handle, level, (*byte)(info))
	}
	for _, part := range []struct {
		what string
		do   func() error
	}{
		{"a description", func() error {
			return change(windows.SERVICE_CONFIG_DESCRIPTION, unsafe.Pointer(&windows.SERVICE_DESCRIPTION{Description: about}))
		}},
		{"an identity of its own", func() error { return change(windows.SERVICE_CONFIG_SERVICE_SID_INFO, unsafe.Pointer(&own)) }},
		{"a delayed start", func() error {
			return change(windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, unsafe.Pointer(&later))
		}},
		{"starting again after a failure", func() error {
			return errors.Join(s.SetRecoveryActions(restarts, day), s.SetRecoveryActionsOnNonCrashFailures(true))
		}},
	} {
		switch err := part.do(); {
		case errors.Is(err, windows.ERROR_INVALID_LEVEL):
			lacking = append(lacking, part.what)
		case err != nil:
			return nil, refused("give the service "+part.what, err)
		}
	}
	return lacking, nil
}

// basics are what every manager knows.
func basics(s *mgr.Service, at places, account string) error {
	var words [4]*uint16
	for i, word := range []string{commandLine(at.program), account, "Rollcall agent", ""} {
		p, err := windows.UTF16PtrFromString(word)
		if err != nil {
			return err
		}
		words[i] = p
	}
	return windows.ChangeServiceConfig(s.Handle, windows.SERVICE_WIN32_OWN_PROCESS, mgr.StartAutomatic, mgr.ErrorNormal, words[0], nil, nil, nil, words[1], words[3], words[2]) // these accounts have an empty password
}

// Remove stops the service and takes it away. Program and settings stay.
func Remove(ctx context.Context) (Installed, error) {
	const doing = "remove the service"
	was, err := Look()
	if err != nil {
		return was, err
	}
	return was, open(doing, windows.SERVICE_STOP|windows.DELETE, func(s *mgr.Service) error {
		if err := end(ctx, doing, s); err != nil {
			return err
		}
		if err := s.Delete(); err != nil {
			return refused(doing, err)
		}
		if err := eventlog.Remove(Name); err != nil {
			return refused("take the service off the event log's list", err)
		}
		return nil
	})
}
