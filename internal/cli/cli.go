// Package cli is the command line: a file per command, each with its options,
// its help and the function that does the work. Results go to standard output,
// progress and errors to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/fault"
)

// IO is the outside of a command.
type IO struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
	Env func(string) (string, bool)
}

// The exit statuses of every command.
const (
	exitDone    = 0
	exitError   = 1
	exitPending = 2 // changes pending (plan); bad usage (others)
	exitHeld    = 3
)

// status is an exit status that is no error: what there is to say was said.
type status int

func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// usage marks an error in how a command was called.
type usage struct{ error }

// root is what all commands share.
type root struct {
	IO
	config string
	output string
	server string
	apiKey string // or @FILE
	width  int    // of the terminal results go to; 0 where they go elsewhere
}

// Run runs one command and gives its exit status.
func Run(ctx context.Context, args []string, std IO) int {
	out := &printer{w: std.Out}
	r := &root{IO: std, width: widthOf(std.Out)}
	r.Out = out
	cmd := r.command()
	cmd.SetArgs(args)
	cmd.SetIn(std.In)
	cmd.SetOut(out)
	cmd.SetErr(std.Err)
	err := cmd.ExecuteContext(ctx)
	if lost := out.arrived(); lost != nil {
		err = lost
	}
	var s status
	var u usage
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &s):
		return int(s)
	case errors.As(err, &u):
		r.complain(ctx, err)
		return exitPending
	case fault.KindOf(err) == fault.Held:
		r.complain(ctx, err)
		return exitHeld
	}
	r.complain(ctx, err)
	return exitError
}

// complain prints an error and what to do about it.
func (r *root) complain(ctx context.Context, err error) {
	fmt.Fprintf(r.Err, "rollcall: %s\n", clean(sentence(ctx, err)))
	if hint := fault.HintOf(err); hint != "" {
		hang(r.Err, "  hint: ", hint)
	}
}

// hang prints a text after a head, its further lines below the first: the mark
// under an expression stands where it belongs.
func hang(w io.Writer, head, text string) {
	fmt.Fprintln(w, head+strings.ReplaceAll(clean(text), "\n", "\n"+strings.Repeat(" ", columns(head))))
}

// sentence is an error for a person. Where Ctrl-C cut something short, what broke
// is no news.
func sentence(ctx context.Context, err error) string {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return "interrupted; nothing is left half done"
	}
	return err.Error()
}

func (r *root) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollcall",
		Short: "Keeps an application's accounts in step with directories",
		Long: `Rollcall keeps an application's accounts in step with the directories of the
organizations that use it. It plans every change before it makes it.

Exit status of every command: 0 done, 1 error, 2 changes pending (plan) or bad
usage (others), 3 held: a plan waits for a person.`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if r.output != "table" && r.output != "json" {
				return usage{fmt.Errorf("--output is table or json, not %q", r.output)}
			}
			return nil
		},
	}
	cmd.PersistentFlags().StringVar(&r.config, "config", "", "the configuration file (default rollcall.yaml, if there is one)")
	cmd.PersistentFlags().StringVar(&r.server, "server", "", "work through the API of this server instead of on the database (ROLLCALL_SERVER)")
	cmd.PersistentFlags().StringVar(&r.apiKey, "api-key", "", "the API key for --server, or @FILE; better by ROLLCALL_API_KEY: options show in the list of processes")
	cmd.PersistentFlags().StringVarP(&r.output, "output", "o", "table", "table or json")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage{plain(err)} })
	cmd.SetHelpCommand(help())
	cmd.AddCommand(r.check(), r.plan(), r.sync(), r.runs(), r.plans(), r.why(), r.accounts(), r.groups(), r.events(),
		r.connections(), r.organizations(), r.apikeys(), r.clients(), r.targets(), r.agents(), r.admins(), r.serve(), r.agent(), r.demo(), r.secrets(), r.backup(), r.move(), r.doctor(), r.version())
	strict(cmd)
	return cmd
}

// strict makes a command group complain about a word it does not know.
func strict(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		strict(c)
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return unknown(c, args[0])
		}
		cmd.Args = cobra.ArbitraryArgs
		cmd.SuggestionsMinimumDistance = 2
	}
}

// unknown is the error for a word that is no command.
func unknown(c *cobra.Command, word string) error {
	err := fmt.Errorf("there is no command %q", word)
	if c.HasParent() {
		err = fmt.Errorf("%s: %w", called(c), err)
	}
	if near := c.SuggestionsFor(word); len(near) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, strings.Join(near, " or "))
	}
	return usage{err}
}

// called is a command without the program's name, which every error begins with.
func called(c *cobra.Command) string {
	return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
}

// help is cobra's command, but a word that is no command is an error.
func help() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		RunE: func(c *cobra.Command, words []string) error {
			about, rest, err := c.Root().Find(words)
			if err != nil || len(rest) > 0 && about.HasSubCommands() {
				return unknown(about, rest[0])
			}
			about.InitDefaultHelpFlag() // the one asked about is not the one that runs
			return about.Help()
		},
	}
}

// plain puts what is expected in the place of what a parser of Go says.
func plain(err error) error {
	before, _, isDuration := strings.Cut(err.Error(), ": time: ")
	if isDuration {
		return fmt.Errorf("%s: expected a duration such as 5m", before)
	}
	number, isNumber := errors.AsType[*strconv.NumError](err)
	if !isNumber {
		return err
	}
	expected := "a whole number"
	switch {
	case number.Func == "ParseBool":
		expected = "true or false"
	case errors.Is(err, strconv.ErrRange):
		expected = "a smaller number"
	case number.Func == "ParseUint":
		expected += ", 0 or more"
	}
	return fmt.Errorf("%s: expected %s", strings.TrimSuffix(strings.TrimSuffix(err.Error(), number.Error()), ": "), expected)
}

// args checks the number of words, as a usage error.
func args(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if len(given) != n {
			return usage{fmt.Errorf("%s takes %s; see `%s --help`", called(c), what, c.CommandPath())}
		}
		return nil
	}
}

// atMostOne is args for a word that may be left out.
func atMostOne(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if len(given) > 1 {
			return usage{fmt.Errorf("%s takes %s, or nothing; see `%s --help`", called(c), what, c.CommandPath())}
		}
		return nil
	}
}

// at gives a command the place where it works: the server that --server names, or
// the database of the configuration.
func (r *root) at(ctx context.Context, fn func(place) error) error {
	server := r.setting(r.server, "ROLLCALL_SERVER")
	if server == "" {
		return r.open(ctx, func(a *app.App) error { return fn(direct{a}) })
	}
	key, err := r.key()
	if err != nil {
		return err
	}
	c, err := client.New(server, key, client.WithAgent("rollcall"))
	if err != nil {
		return usage{errors.New(strings.TrimPrefix(err.Error(), "client: "))}
	}
	return fn(remote{c})
}

// setting is an option, or the variable that stands for it.
func (r *root) setting(option, variable string) string {
	if option != "" {
		return option
	}
	text, _ := r.Env(variable)
	return text
}

// key is the API key: of the option, of a file where it begins with @, or of the
// environment. Other people of a machine see options in the list of processes.
func (r *root) key() (string, error) {
	text := r.setting(r.apiKey, "ROLLCALL_API_KEY")
	if path, ok := strings.CutPrefix(text, "@"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fault.New(fault.Invalid, "--api-key: %w", err)
		}
		text = strings.TrimSpace(string(b))
	}
	if text == "" {
		return "", usage{errors.New("--server needs an API key: set ROLLCALL_API_KEY, or --api-key @FILE")}
	}
	return text, nil
}

// open gives the installation to a command and closes it afterwards.
func (r *root) open(ctx context.Context, fn func(*app.App) error) (err error) {
	if err := r.itself(); err != nil {
		return err
	}
	a, err := app.Open(ctx, r.config, r.Env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	a.Store.DB.OnTrouble(func(err error) {
		warn(r.Err, fmt.Sprintf("rollcall: warning: %s; what was written is safe, and it is tried again", clean(err.Error())))
	})
	defer context.AfterFunc(ctx, a.Store.DB.Leaving)()
	return fn(a)
}

// itself refuses --server for what works on the database.
func (r *root) itself() error {
	if r.server != "" {
		return usage{errors.New("this works on the database itself, not through --server")}
	}
	return nil
}

// actor is who events say did it.
func actor() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return "operator:" + u.Username
	}
	return "operator"
}
