package cli

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store"
)

func (r *root) organizations() *cobra.Command {
	cmd := &cobra.Command{Use: "organizations", Short: "List, make and delete organizations"}
	cmd.AddCommand(r.organizationsCreate(), r.organizationsDelete(), &cobra.Command{
		Use: "list", Short: "List organizations and the seats they use", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.at(cmd.Context(), func(a place) error {
				list, err := a.Organizations(cmd.Context())
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(list)
				}
				t := r.table(column{"ID", fixed}, column{"NAME", wraps}, column{"SEATS USED", fixed}, column{"LICENCE", fixed}, column{"ACCOUNTS", fixed})
				for _, o := range list {
					limit := "no limit"
					if o.LicenceLimit != nil {
						limit = number(*o.LicenceLimit)
					}
					t.add(o.ID, o.Name, number(o.SeatsUsed), limit, number(o.Accounts))
				}
				t.end("There are no organizations.")
				return nil
			})
		},
	})
	return cmd
}

func (r *root) backup() *cobra.Command {
	return &cobra.Command{
		Use: "backup FILE", Short: "Copy the embedded database to a file, consistent even while runs go on", Args: args(1, "a file that does not exist yet"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				if err := a.Store.Backup(cmd.Context(), words[0]); err != nil {
					return err
				}
				fmt.Fprintf(r.Out, "The database is copied to %s. Keep the key file (%s) apart from it.\n", words[0], a.Config.KeyFile)
				return nil
			})
		},
	}
}

func (r *root) move() *cobra.Command {
	return &cobra.Command{
		Use: "move FILE", Short: "Bring all that an embedded database holds into the PostgreSQL database of the configuration", Args: args(1, "the file of the embedded database"),
		Long: `For an installation that outgrows one machine: everything goes along, accounts,
histories, administrators, links and secrets. Stop every rollcall, make an empty
PostgreSQL database, let "database" in the configuration name it and "key_file"
the old key, then move. The file stays, for the way back.`,
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := r.itself(); err != nil {
				return err
			}
			rows, err := app.Move(cmd.Context(), r.config, words[0], r.Env)
			if err != nil {
				return err
			}
			fmt.Fprintf(r.Out, "All of %s is moved: %s. Look with `rollcall doctor`, then start again.\n", words[0], counted(int(rows), "row"))
			return nil
		},
	}
}

func (r *root) doctor() *cobra.Command {
	var prune bool
	var head, accept string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check the database for what must never be, and the configuration for variables that are not set",
		Long: `With --prune it first takes away all that is older than "retention" in the
configuration says; each run takes away a part of it in any case.

It walks the chain of events and prints its head. Kept elsewhere and given with
--head one day, that head proves that the events up to it are still the same
ones, even against somebody who had the database and the key file.

Exit status: 0 all is well, 1 something is wrong.`, Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				if prune {
					if err := r.prune(cmd.Context(), a); err != nil {
						return err
					}
				}
				if accept != "" {
					if err := a.Store.EventTable.Accept(cmd.Context(), actor(), accept, now()); err != nil {
						return err
					}
				}
				return r.examine(cmd.Context(), a, head)
			})
		},
	}
	cmd.Flags().StringVar(&head, "head", "", "compare the feed with the head of the chain as it was printed once")
	cmd.Flags().StringVar(&accept, "accept", "", "seal the feed as it stands, with an event that tells this reason: after you have looked into what was found")
	cmd.Flags().BoolVar(&prune, "prune", false, "first take away what is older than the configuration's retention")
	return cmd
}

// prune tells of what it took away where progress goes: results are the findings.
func (r *root) prune(ctx context.Context, a *app.App) error {
	p, err := a.Store.Prune(ctx, a.Config.Retention, now(), 0)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.Err, "Pruned: the rows of %s, %s, %s.\n", counted(p.Plans, "plan"), counted(p.Runs, "run"), counted(int(p.Events), "event"))
	return nil
}

func (r *root) examine(ctx context.Context, a *app.App, head string) error {
	findings, err := a.Store.Examine(ctx)
	if err == nil && head != "" {
		var noted []store.Finding
		noted, err = a.Store.Chain(ctx, head)
		findings = append(findings, noted[min(1, len(noted)):]...)
	}
	if err != nil {
		return err
	}
	all, err := a.Registry.Connections(ctx, "")
	if err != nil {
		return err
	}
	for i := range all {
		// With its secrets: one that cannot be opened is found here.
		if all[i], err = a.Registry.Connection(ctx, all[i].Alias); err != nil {
			return err
		}
	}
	findings = append(findings, absent(all))
	kept, err := a.Store.AccountTable.Keepers(ctx)
	if err != nil {
		return err
	}
	findings = append(findings, left(all, kept))
	if r.output == "json" {
		if err := r.json(findings); err != nil {
			return err
		}
	}
	bad := false
	for _, f := range findings {
		bad = bad || f.Count > 0
		if r.output == "json" {
			continue
		}
		verdict, text := "ok", f.Check
		if f.Detail != "" {
			text += " (" + f.Detail + ")"
		}
		if f.Count > 0 {
			verdict, text = "FAIL", fmt.Sprintf("%s: %s found", f.Check, number(f.Count))
		}
		fmt.Fprintf(r.Out, "%-4s  %s\n", verdict, text)
		if f.Count > 0 {
			fmt.Fprintf(r.Out, "      hint: %s\n", f.Hint)
		}
	}
	if bad {
		return status(exitError)
	}
	return nil
}

// left tells of accounts whose connection is no longer there: whoever leaves keeps them.
func left(list []setting.Connection, kept map[string]int) store.Finding {
	f := store.Finding{Check: "every active account has its connection"}
	delete(kept, account.Local)
	for _, c := range list {
		delete(kept, c.Alias)
	}
	var parts []string
	for _, alias := range slices.Sorted(maps.Keys(kept)) {
		f.Count += kept[alias]
		parts = append(parts, fmt.Sprintf("%s of %s", number(kept[alias]), alias))
	}
	f.Hint = "nobody sees when these people leave (" + strings.Join(parts, ", ") + "): declare the connection under its alias again, " +
		"or let another one take its accounts over, with `match` and `no-update-provider-mismatch: false`"
	return f
}

// absent tells of variables and files that connections need and do not have here.
func absent(list []setting.Connection) store.Finding {
	f := store.Finding{Check: "every variable and file that the settings of a connection name is there"}
	var problems []string
	for _, c := range list {
		for _, u := range c.Unset {
			problems = append(problems, "connection "+c.Alias+": "+u.Problem)
		}
	}
	f.Count, f.Hint = len(problems), "give it to the process that runs rollcall"
	if len(problems) > 0 {
		f.Hint += "; " + strings.Join(problems, "; ")
	}
	return f
}

// versionJSON says which program this is.
type versionJSON struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func thisVersion() versionJSON {
	v := versionJSON{"development", "unknown", runtime.Version(), runtime.GOOS, runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Commit = s.Value
		}
	}
	return v
}

func (r *root) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version", Args: args(0, "no words"),
		RunE: func(*cobra.Command, []string) error {
			v := thisVersion()
			if r.output == "json" {
				return r.json(v)
			}
			fmt.Fprintf(r.Out, "rollcall %s (%s, %s %s/%s)\n", v.Version, v.Commit, v.Go, v.OS, v.Arch)
			return nil
		},
	}
}
