package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/targets"
)

func (r *root) targets() *cobra.Command {
	cmd := &cobra.Command{Use: "targets", Short: "Push accounts to applications that speak SCIM, and see whether they are in step"}
	cmd.AddCommand(r.targetsList(), r.targetsShow(), r.targetsCreate(), r.targetsUpdate(), r.targetsDelete(), r.targetsSync(), r.targetsCheck(), r.targetsRepair())
	return cmd
}

// targetFlags are what a target is to be, as options.
type targetFlags struct {
	name, url, auth, clientID, tokenURL, scope, leavers string
	connections                                         []string
	groups, enabled, stdin                              bool
	given                                               func(option string) bool
}

func (f *targetFlags) declare(cmd *cobra.Command) {
	set := cmd.Flags()
	f.given = set.Changed
	set.StringVar(&f.name, "name", "", "what the application is called")
	set.StringVar(&f.url, "url", "", "the address that /Users is appended to")
	set.BoolVar(&f.stdin, "secret-stdin", false, "read the token, or with OAuth the client's secret, from standard input")
	set.StringVar(&f.auth, "auth", "", "bearer (the default) or oauth")
	set.StringVar(&f.clientID, "client-id", "", "of OAuth")
	set.StringVar(&f.tokenURL, "token-url", "", "of OAuth: where tokens are")
	set.StringVar(&f.scope, "oauth-scope", "", "of OAuth, if the application wants one")
	set.StringArrayVar(&f.connections, "connection", nil, "whose accounts are pushed (all of the organization unless given); may be given several times")
	set.BoolVar(&f.groups, "groups", true, "push groups too")
	set.StringVar(&f.leavers, "leavers", "", "what becomes of leavers there: disable (the default) or delete")
	set.BoolVar(&f.enabled, "enabled", true, "whether anything is pushed")
}

// patch is what was given of it.
func (f *targetFlags) patch(in io.Reader) (client.TargetPatchInput, error) {
	var out client.TargetPatchInput
	for name, into := range map[string]func(){
		"name": func() { out.Name = &f.name }, "url": func() { out.URL = &f.url }, "auth": func() { out.Auth = &f.auth }, "client-id": func() { out.ClientID = &f.clientID },
		"token-url": func() { out.TokenURL = &f.tokenURL }, "oauth-scope": func() { out.OAuthScope = &f.scope }, "connection": func() { out.Connections = &f.connections },
		"groups": func() { out.Groups = &f.groups }, "leavers": func() { out.Leavers = &f.leavers }, "enabled": func() { out.Enabled = &f.enabled },
	} {
		if f.given(name) {
			into()
		}
	}
	if out.Connections != nil && len(*out.Connections) == 1 && (*out.Connections)[0] == "" {
		*out.Connections = []string{} // an empty text takes the list away
	}
	if !f.stdin {
		return out, nil
	}
	b, err := io.ReadAll(io.LimitReader(in, 8192))
	if err != nil {
		return out, err
	}
	secret := strings.TrimSpace(string(b))
	if secret == "" {
		return out, fault.New(fault.Invalid, "no secret came on standard input").WithHint("for instance: pass show app | rollcall targets create --name App --url https://app.example.com/scim/v2 --secret-stdin")
	}
	out.Secret = &secret
	return out, nil
}

func (r *root) targetsCreate() *cobra.Command {
	var f targetFlags
	var organization string
	cmd := &cobra.Command{
		Use: "create --url URL --secret-stdin", Short: "Push the accounts of an organization to an application", Args: args(0, "no words, only options"),
		Long: `Pushes everybody who is active to the application once, and what changes after that
as it changes; the server does it. Who is there already, by user name or by our
identifier, is not made again.`,
		Example: `  pass show app | rollcall targets create --organization sunfix --name Timesheets --url https://app.example.com/scim/v2 --secret-stdin`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !f.stdin {
				return usage{errors.New("the secret is read with --secret-stdin: options show in the list of processes")}
			}
			patch, err := f.patch(r.In)
			if err != nil {
				return err
			}
			return r.at(cmd.Context(), func(a place) error {
				made, err := a.CreateTarget(cmd.Context(), client.TargetInput{Organization: organization, TargetPatchInput: patch})
				if err != nil {
					return err
				}
				return r.printTarget(made)
			})
		},
	}
	f.declare(cmd)
	cmd.Flags().StringVar(&organization, "organization", "", "whose accounts are pushed")
	return cmd
}

func (r *root) targetsUpdate() *cobra.Command {
	var f targetFlags
	cmd := &cobra.Command{
		Use: "update TARGET", Short: "Change a target, or have it tried again at once", Args: args(1, "a target's ID"),
		RunE: func(cmd *cobra.Command, words []string) error {
			patch, err := f.patch(r.In)
			if err != nil {
				return err
			}
			return r.at(cmd.Context(), func(a place) error {
				t, err := a.UpdateTarget(cmd.Context(), words[0], patch)
				if err != nil {
					return err
				}
				return r.printTarget(t)
			})
		},
	}
	f.declare(cmd)
	return cmd
}

func (r *root) targetsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the applications that accounts are pushed to", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.at(cmd.Context(), func(a place) error {
				list, err := a.Targets(cmd.Context())
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(append([]client.Target{}, list...))
				}
				t := r.table(column{"TARGET", fixed}, column{"NAME", wraps}, column{"ORGANIZATION", fixed}, column{"IN STEP", fixed}, column{"DUE", fixed}, column{"FAILED", fixed}, column{"STATE", wraps})
				for i := range list {
					x := &list[i]
					t.add(x.ID, x.Name, x.Organization, x.Synced, x.Due, x.Failed, stateOf(x))
				}
				t.end("There are no targets; `rollcall targets create` makes one.")
				return nil
			})
		},
	}
}

func stateOf(t *client.Target) string {
	switch {
	case !t.Enabled:
		return "disabled"
	case t.Error != nil:
		return *t.Error
	}
	return "ok"
}

func (r *root) targetsShow() *cobra.Command {
	return &cobra.Command{
		Use: "show TARGET", Short: "Show a target, and what could not be pushed", Args: args(1, "a target's ID"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				t, err := a.Target(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				if err := r.printTarget(t); err != nil || r.output == "json" || t.Failed == 0 {
					return err
				}
				failed, err := a.TargetLinks(cmd.Context(), words[0], "failed", 20)
				if err != nil {
					return err
				}
				fmt.Fprintln(r.Out)
				table := r.table(column{"KIND", fixed}, column{"ID", fixed}, column{"ATTEMPTS", fixed}, column{"ERROR", wraps})
				for i := range failed {
					l := &failed[i]
					why := ""
					if l.Error != nil {
						why = *l.Error
					}
					table.add(l.Kind, l.ID, l.Attempts, why)
				}
				table.end("")
				return nil
			})
		},
	}
}

func (r *root) printTarget(t client.Target) error {
	if r.output == "json" {
		return r.json(t)
	}
	for _, row := range [][2]string{
		{"target", t.ID}, {"name", t.Name}, {"organization", t.Organization}, {"address", t.URL}, {"signs in by", t.Auth}, {"connections", orEvery(t.Connections)}, {"groups", yes(t.Groups)},
		{"leavers", t.Leavers}, {"in step", number(t.Synced)}, {"due", number(t.Due)}, {"failed", number(t.Failed)}, {"state", stateOf(&t)},
	} {
		fmt.Fprintf(r.Out, "%-13s %s\n", row[0], clean(row[1]))
	}
	return nil
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (r *root) targetsDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete TARGET", Short: "Push no more; the application keeps what it has", Args: args(1, "a target's ID"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				if err := a.DeleteTarget(cmd.Context(), words[0]); err != nil {
					return err
				}
				fmt.Fprintf(r.Out, "Deleted target %s. The application keeps what it has.\n", words[0])
				return nil
			})
		},
	}
}

func (r *root) targetsSync() *cobra.Command {
	return &cobra.Command{
		Use: "sync TARGET", Short: "Look at everything again, and push what is not in step", Args: args(1, "a target's ID"),
		Long: `Looks at everything again, at once. Without a server this command pushes by itself
and waits for the end; through a server, the server does.`,
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				n, err := a.SyncTarget(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				t, err := a.Target(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(t)
				}
				fmt.Fprintf(r.Out, "%s: %d in step, %d due, %d failed. State: %s\n", counted(n, "account or group"), t.Synced, t.Due, t.Failed, clean(stateOf(&t)))
				return nil
			})
		},
	}
}

func (r *root) targetsCheck() *cobra.Command {
	return r.compared("check TARGET", "Compare what an application has with what was pushed; changes nothing", place.CheckTarget)
}

func (r *root) targetsRepair() *cobra.Command {
	return r.compared("repair TARGET", "Compare, and push what is missing or different again", place.RepairTarget)
}

func (r *root) compared(use, short string, fn func(place, context.Context, string) (client.TargetReport, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: args(1, "a target's ID"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				report, err := fn(a, cmd.Context(), words[0])
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(report)
				}
				for _, of := range []struct {
					what string
					n    client.TargetCounts
				}{{"users", report.Users}, {"groups", report.Groups}} {
					fmt.Fprintf(r.Out, "%-7s %d as pushed, %d different, %d missing, %d never pushed\n", of.what, of.n.Same, of.n.Different, of.n.Missing, of.n.Unknown)
				}
				if len(report.Drift) > 0 {
					fmt.Fprintln(r.Out)
					t := r.table(column{"KIND", fixed}, column{"PROBLEM", fixed}, column{"NAME", wraps}, column{"THERE", fixed})
					for i := range report.Drift {
						d := &report.Drift[i]
						t.add(d.Kind, d.Problem, d.Name, d.RemoteID)
					}
					t.end("")
				}
				if report.Marked > 0 {
					fmt.Fprintf(r.Out, "%s pushed again.\n", counted(report.Marked, "account or group"))
				}
				return nil
			})
		},
	}
}

func (d direct) Targets(ctx context.Context) ([]client.Target, error) {
	list, err := d.Store.TargetTable.List(ctx, "", "", math.MaxInt32)
	if err != nil {
		return nil, err
	}
	return as[[]client.Target](list)
}

func (d direct) Target(ctx context.Context, id string) (client.Target, error) {
	return valued(d.Store.TargetTable.Get(ctx, "", id))
}

// valued is what a pointer leads to, where there is no error.
func valued[T any](p *T, err error) (T, error) {
	if err != nil {
		var zero T
		return zero, err
	}
	return *p, nil
}

func (d direct) CreateTarget(ctx context.Context, in client.TargetInput) (client.Target, error) {
	return valued(d.Store.TargetTable.Create(ctx, "", in, actor()))
}

func (d direct) UpdateTarget(ctx context.Context, id string, in client.TargetPatchInput) (client.Target, error) {
	return valued(d.Store.TargetTable.Update(ctx, "", id, in, actor()))
}

func (d direct) DeleteTarget(ctx context.Context, id string) error {
	return d.Store.TargetTable.Delete(ctx, "", id, actor())
}

func (d direct) TargetLinks(ctx context.Context, id, state string, limit int) ([]client.TargetLink, error) {
	return d.Store.TargetTable.Links(ctx, "", id, state, targets.Place{}, limit)
}

// SyncTarget pushes by itself: there may be no server.
func (d direct) SyncTarget(ctx context.Context, id string) (int, error) {
	n, err := d.Store.TargetTable.Sync(ctx, "", id)
	if err != nil {
		return 0, err
	}
	return n, d.Pushing.Finish(ctx)
}

func (d direct) CheckTarget(ctx context.Context, id string) (client.TargetReport, error) {
	return valued(d.Pushing.Check(ctx, "", id))
}

func (d direct) RepairTarget(ctx context.Context, id string) (client.TargetReport, error) {
	r, err := valued(d.Pushing.Repair(ctx, "", id, actor()))
	if err != nil {
		return r, err
	}
	return r, d.Pushing.Finish(ctx)
}

func (r remote) Targets(ctx context.Context) ([]client.Target, error) {
	return gather[client.Target](r.c.Targets(ctx), math.MaxInt)
}

func (r remote) Target(ctx context.Context, id string) (client.Target, error) {
	t, err := r.c.Target(ctx, id)
	return t, told(err)
}

func (r remote) CreateTarget(ctx context.Context, in client.TargetInput) (client.Target, error) {
	t, err := r.c.CreateTarget(ctx, in)
	return t, told(err)
}

func (r remote) UpdateTarget(ctx context.Context, id string, in client.TargetPatchInput) (client.Target, error) {
	t, err := r.c.UpdateTarget(ctx, id, in)
	return t, told(err)
}

func (r remote) DeleteTarget(ctx context.Context, id string) error {
	return told(r.c.DeleteTarget(ctx, id))
}

func (r remote) TargetLinks(ctx context.Context, id, state string, limit int) ([]client.TargetLink, error) {
	return gather[client.TargetLink](r.c.TargetLinks(ctx, id, state), limit)
}

func (r remote) SyncTarget(ctx context.Context, id string) (int, error) {
	m, err := r.c.SyncTarget(ctx, id)
	return m.Marked, told(err)
}

func (r remote) CheckTarget(ctx context.Context, id string) (client.TargetReport, error) {
	x, err := r.c.CheckTarget(ctx, id)
	return x, told(err)
}

func (r remote) RepairTarget(ctx context.Context, id string) (client.TargetReport, error) {
	x, err := r.c.RepairTarget(ctx, id)
	return x, told(err)
}
