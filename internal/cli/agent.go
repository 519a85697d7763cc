package cli

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/agent"
	"rollcall.dev/rollcall/internal/agent/service"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/telemetry"
	"rollcall.dev/rollcall/internal/tunnel"
)

// Words are the arguments of a program. One that is installed as `adc` is the agent,
// as Kopano's was: without a word it runs.
func Words(argv []string) []string {
	if len(argv) == 0 {
		return nil
	}
	name := strings.TrimSuffix(strings.ToLower(filepath.Base(argv[0])), ".exe")
	words := argv[1:]
	if name != "adc" {
		return words
	}
	if len(words) == 0 || strings.HasPrefix(words[0], "-") && words[0] != "-h" && words[0] != "--help" {
		words = append([]string{"run"}, words...)
	}
	return append([]string{"agent"}, words...)
}

// agentOptions are the flags of both commands; what is not given comes from the
// environment.
type agentOptions struct {
	addr, file, caFile, logFormat, logLevel string
	drain                                   time.Duration
}

func (r *root) agent() *cobra.Command {
	cmd := &cobra.Command{Use: "agent", Short: "The agent in a customer's network: reads a directory there for a server",
		Long: `The agent stands in the network of a directory and dials the server; nothing has
to be opened in a firewall. It reads the directory and tries passwords when the
server asks, and does nothing else.

Environment: AD_CONNECT_ADDR (host:port of the server), AD_CONNECT_AUTH
(client-id:client-secret), AD_CONNECT_CONFIG (the file, adc.yaml unless set),
AD_CONNECT_CA (certificates to trust); HTTPS_PROXY and NO_PROXY for a proxy.`}
	cmd.AddCommand(r.agentRun(), r.agentImport(), r.agentService())
	return cmd
}

func (o *agentOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.addr, "addr", "", "the server, as host:port; spoken to by https (AD_CONNECT_ADDR)")
	f.StringVar(&o.file, "file", "", "the agent's file with settings: and backend: (AD_CONNECT_CONFIG; adc.yaml, if there is one)")
	f.StringVar(&o.caFile, "ca-file", "", "PEM file of the certificate authorities to trust, in place of the system's (AD_CONNECT_CA)")
	f.StringVar(&o.logFormat, "log-format", "text", "text or json")
	f.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	f.DurationVar(&o.drain, "drain", time.Minute, "how long what goes on may take to end at SIGTERM")
}

// made makes the agent. The secret is no flag: those show in the list of processes.
func (r *root) made(o *agentOptions, log *slog.Logger) (*agent.Agent, error) {
	auth := r.setting("", "AD_CONNECT_AUTH")
	if path, ok := strings.CutPrefix(auth, "@"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fault.New(fault.Invalid, "AD_CONNECT_AUTH: %w", err)
		}
		auth = string(b)
	}
	return agent.New(agent.Options{Addr: r.setting(o.addr, "AD_CONNECT_ADDR"), Auth: auth, Config: r.setting(o.file, "AD_CONNECT_CONFIG"), CAFile: r.setting(o.caFile, "AD_CONNECT_CA"),
		Kinds: all.Kinds(), Lookup: r.Env, Log: log, Version: thisVersion().Version, Drain: o.drain, Retry: time.Second, MostRetry: time.Minute})
}

func (r *root) agentRun() *cobra.Command {
	var o agentOptions
	cmd := &cobra.Command{Use: "run", Short: "Stay connected to the server and wait for work",
		Long: `Stays connected to the server, dials again when the connection ends, and does what
the server asks: reads the directory, tries passwords, checks the settings.

SIGHUP reads the file anew; SIGTERM and Ctrl-C let what goes on come to its end. As a
service of Windows it hears of both from the service manager.`, Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			under, err := service.Started()
			if err != nil {
				return fault.New(fault.Internal, "ask who started this program: %w", err)
			}
			if under {
				return service.Run(service.Program{Drain: o.drain,
					Log: func(w io.Writer) *slog.Logger { return telemetry.Logger(w, o.logFormat, o.logLevel) },
					Prepare: func(log *slog.Logger) (service.Work, error) {
						a, err := r.made(&o, log)
						if err != nil {
							return nil, err
						}
						return a.Run, nil
					}})
			}
			log := telemetry.Logger(r.Err, o.logFormat, o.logLevel)
			a, err := r.made(&o, log)
			if err != nil {
				return err
			}
			// A unit with ExecStop sends SIGTERM, and systemd another right after it: that is no
			// hurry. Ctrl-C twice is, and so is SIGKILL.
			again := make(chan os.Signal, 1)
			signal.Notify(again, syscall.SIGTERM)
			defer signal.Stop(again)
			reload := make(chan os.Signal, 1)
			if len(hangup) > 0 {
				signal.Notify(reload, hangup...)
				defer signal.Stop(reload)
			}
			return a.Run(cmd.Context(), reload)
		}}
	o.flags(cmd)
	return cmd
}

func (r *root) agentImport() *cobra.Command {
	var o agentOptions
	var full bool
	cmd := &cobra.Command{Use: "imp", Aliases: []string{"import"}, Short: "Have the server run the connection once",
		Long: `Connects, asks the server for a run of the connection, serves it the directory
meanwhile, and shows what came of it.

Exit status: 0 done, 3 held (also under dry-run), 1 error.`, Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := r.made(&o, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			bar := newBar(r.Err)
			text, err := a.Import(cmd.Context(), full, func(p tunnel.Progress) { bar.report(engine.Progress{Phase: p.Phase, Done: p.Done, Total: p.Total}) })
			bar.end()
			if err != nil {
				return err
			}
			return r.imported(cmd.Context(), text)
		}}
	o.flags(cmd)
	cmd.Flags().BoolVar(&full, "full", false, "read everything, even where reading only what changed would do")
	return cmd
}

// imported shows a run as an agent is told of it: what is in its plan is for those who
// work on the server.
func (r *root) imported(ctx context.Context, text json.RawMessage) error {
	var run engine.Run
	if err := json.Unmarshal(text, &run); err != nil {
		return fault.New(fault.Unavailable, "the server tells of the run in a form that this agent does not understand: %w", err).WithHint("bring both to the same release")
	}
	switch {
	case r.output == "json":
		if err := r.json(run); err != nil {
			return err
		}
	case run.State == engine.RunHeld:
		r.reading(run.Reading)
		if run.Summary != nil {
			r.summary(run.Summary, planned)
		}
		if run.Error != nil {
			r.paragraph("Because: ", *run.Error+".")
		}
		r.paragraph("", "Run "+run.ID+" is held; nothing was written. It is decided on at the server.")
	default:
		if err := r.runText(ctx, nil, &run); err != nil {
			return err
		}
	}
	if run.State == engine.RunHeld {
		return status(exitHeld)
	}
	return nil
}
