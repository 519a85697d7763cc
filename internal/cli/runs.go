package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/engine"
)

func (r *root) runs() *cobra.Command {
	cmd := &cobra.Command{Use: "runs", Short: "Look at runs, revert them"}
	cmd.AddCommand(r.runsList(), r.runsShow(), r.runsRevert())
	return cmd
}

func (r *root) runsList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list [CONNECTION]", Short: "List runs, the newest first", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				t := table{head: []string{"RUN", "CONNECTION", "STARTED", "TOOK", "TRIGGER", "STATE", "READ", "CHANGES", "ERROR"}}
				list := stream{w: r.Out}
				err := a.Store.RunTable.List(cmd.Context(), optional(words), limit, func(run *engine.Run) error {
					if r.output == "json" {
						return list.add(run)
					}
					read, changes := "-", "-"
					if run.Reading != nil {
						read = number(run.Reading.Entries)
						if !run.Reading.Complete {
							read += " (incomplete)"
						}
					}
					if run.Summary != nil {
						changes = number(run.Summary.Changes())
					}
					text := ""
					if run.Error != nil {
						text = *run.Error
					}
					t.add(run.ID, run.Connection, run.StartedAt, took(run), run.Trigger, string(run.State), read, changes, shorten(text, 70))
					return nil
				})
				if err != nil {
					return err
				}
				if r.output == "json" {
					return list.close()
				}
				t.print(r.Out)
				return nil
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "how many to list")
	return cmd
}

func (r *root) runsShow() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "show RUN", Short: "Show a run and what it changed (RUN may be \"last\")", Args: args(1, "the ID of a run, or \"last\""),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				run, err := a.Store.RunTable.Get(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(run)
				}
				fmt.Fprintf(r.Out, "Run %s of %s, %s by %s, started %s, took %s: %s\n", run.ID, run.Connection, run.Trigger, run.Actor, cell(run.StartedAt), took(run), run.State)
				if run.Error != nil {
					fmt.Fprintf(r.Out, "  %s\n", clean(*run.Error))
				}
				if run.Reverts != nil {
					fmt.Fprintf(r.Out, "  undoes run %s\n", *run.Reverts)
				}
				if run.Reading != nil {
					fmt.Fprintf(r.Out, "Read     %s\n", readingText(run.Reading))
				}
				if run.Plan == nil {
					return nil
				}
				p, err := a.Store.PlanTable.Get(cmd.Context(), *run.Plan)
				if err != nil {
					return err
				}
				return r.showPlan(cmd.Context(), a, p, limit)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "how many rows to show in a table (0 all)")
	return cmd
}

func (r *root) runsRevert() *cobra.Command {
	var only bool
	cmd := &cobra.Command{
		Use: "revert RUN", Short: "Undo an applied run: attributes, status, memberships",
		Long: `Makes a plan that undoes an applied run, and applies it. What somebody changed
since is left alone and noted. The next plan of the connection is held, since it
may do again what was undone.`,
		Args: args(1, "the ID of a run"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				run, err := a.Store.RunTable.Get(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				c, err := a.Connection(run.Connection)
				if err != nil {
					return err
				}
				bar := newBar(r.Err)
				result, err := a.Engine.Revert(cmd.Context(), c, run.ID, only, engine.Options{Actor: actor(), Progress: bar.report})
				bar.end()
				if err != nil {
					return err
				}
				if only {
					return r.showPlan(cmd.Context(), a, result.Plan, 50)
				}
				return r.outcome(cmd.Context(), a, result)
			})
		},
	}
	cmd.Flags().BoolVar(&only, "plan", false, "show the plan and apply nothing")
	return cmd
}
