package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"rollcall.dev/rollcall/internal/agent"
	"rollcall.dev/rollcall/internal/agent/service"
	"rollcall.dev/rollcall/internal/fault"
)

func (r *root) agentService() *cobra.Command {
	cmd := &cobra.Command{Use: "service", Short: "The agent as a service of Windows: install, start, stop, remove"}
	does := func(use, short, done string, do func(context.Context) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: args(0, "no words"), RunE: func(cmd *cobra.Command, _ []string) error {
			if err := do(cmd.Context()); err != nil {
				return err
			}
			fmt.Fprintln(r.Out, done)
			return nil
		}}
	}
	cmd.AddCommand(r.agentServiceInstall(),
		does("start", "Start the service and wait until it runs", "The service runs.", service.Begin),
		does("stop", "Stop the service; what goes on may end", "The service is stopped.", service.End),
		does("reload", "Have the service read the agent's file anew", "The service was told to read its file anew; the event log says what came of it.", func(context.Context) error { return service.Reload() }),
		r.agentServiceRemove(), r.agentServiceStatus())
	return cmd
}

func (r *root) agentServiceInstall() *cobra.Command {
	var addr, file, caFile string
	cmd := &cobra.Command{
		Use: "install --addr HOST:PORT", Short: "Install the service, or bring it up to date", Args: args(0, "no words"),
		Long: `Asks for client-id:client-secret, copies this program to Program Files, writes both to
an environment file that administrators and the service alone may read, and makes a
service that starts with the machine and again when it fails. Where no terminal is, the
first line of standard input is what it asks for.

Once it is installed, --addr may be left out: then nothing is asked, the settings stay as
they are, and program and service are brought up to date.`,
		Example: `  rollcall agent service install --addr rollcall.example.org:443`,
		RunE: func(*cobra.Command, []string) error {
			known, err := service.Ready()
			if err != nil {
				return err
			}
			set, err := r.serviceSettings(known, addr, file, caFile)
			if err != nil {
				return err
			}
			at, err := service.Install(set)
			if err != nil {
				return err
			}
			if r.output == "json" {
				return r.json(at)
			}
			r.paragraph("", "The service is installed and "+at.State+". Its settings are in "+at.Settings+"; it runs as "+at.Account+".")
			if len(at.Lacking) > 0 {
				r.paragraph("", "The service manager here does not know of "+strings.Join(at.Lacking, ", ")+".")
			}
			if at.State != service.Running.String() {
				r.paragraph("", "`rollcall agent service start` starts it; from then on it starts with the machine.")
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&addr, "addr", "", "the server, as host:port; spoken to by https")
	f.StringVar(&file, "file", "", "the agent's file with settings: and backend: (adc.yaml beside the environment file, if there is one)")
	f.StringVar(&caFile, "ca-file", "", "PEM file of the certificate authorities to trust, in place of the system's")
	return cmd
}

// serviceSettings are the variables to set. The secret is asked for, once everything else
// is known to be right; it is no flag, since those show in the list of processes.
func (r *root) serviceSettings(known bool, addr, file, caFile string) ([]service.Variable, error) {
	var set []service.Variable
	for _, f := range []struct{ name, path string }{{"AD_CONNECT_CONFIG", file}, {"AD_CONNECT_CA", caFile}} {
		if f.path == "" {
			continue
		}
		path, err := filepath.Abs(f.path) // the service works in another folder
		if err != nil {
			return nil, fault.New(fault.Invalid, "%s: %w", f.path, err)
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fault.New(fault.Invalid, "%s: %w", f.name, err)
		}
		set = append(set, service.Variable{Name: f.name, Value: path})
	}
	if addr == "" {
		if !known {
			return nil, usage{errors.New("--addr is missing: which server does the agent dial?")}
		}
		return set, nil
	}
	if err := agent.Reachable(addr); err != nil {
		return nil, err
	}
	auth, err := r.ask("client-id:client-secret: ")
	if err != nil {
		return nil, err
	}
	id, secret, err := agent.Credentials(auth)
	if err != nil || strings.HasPrefix(id, "@") {
		return nil, fault.New(fault.Invalid, "what was given is not client-id:client-secret").WithHint("give it as `rollcall agents create` or the console showed it")
	}
	return append(set, service.Variable{Name: "AD_CONNECT_ADDR", Value: strings.TrimSpace(addr)}, service.Variable{Name: "AD_CONNECT_AUTH", Value: id + ":" + secret}), nil
}

// ask reads a line that nobody else is to see.
func (r *root) ask(what string) (string, error) {
	if f, ok := r.In.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(r.Err, what)
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(r.Err)
		if err != nil {
			return "", fault.New(fault.Invalid, "read the secret: %w", err)
		}
		return string(text), nil
	}
	const most = 4096
	text, err := bufio.NewReader(io.LimitReader(r.In, most)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fault.New(fault.Invalid, "read the secret from standard input: %w", err)
	}
	return strings.TrimPrefix(text, "\uFEFF"), nil // PowerShell begins with a mark of byte order
}

func (r *root) agentServiceRemove() *cobra.Command {
	return &cobra.Command{Use: "remove", Short: "Stop the service and take it away; program and settings stay", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			was, err := service.Remove(cmd.Context())
			if err != nil {
				return err
			}
			r.paragraph("", "The service is removed. Its settings, with the secret, are still in "+was.Settings+".")
			return nil
		}}
}

func (r *root) agentServiceStatus() *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Say how the service is", Args: args(0, "no words"),
		RunE: func(*cobra.Command, []string) error {
			at, err := service.Look()
			if err != nil {
				return err
			}
			if r.output == "json" {
				return r.json(at)
			}
			state := at.State
			if at.Process != 0 {
				state += fmt.Sprintf(" (process %d)", at.Process)
			}
			r.paragraph("state     ", state)
			r.paragraph("account   ", at.Account)
			r.paragraph("start     ", at.Start)
			r.paragraph("program   ", at.Command)
			r.paragraph("settings  ", at.Settings)
			return nil
		}}
}
