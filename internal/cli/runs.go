package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
)

func (r *root) runs() *cobra.Command {
	cmd := &cobra.Command{Use: "runs", Short: "Look at runs, revert them"}
	cmd.AddCommand(r.runsList(), r.runsShow(), r.runsRevert())
	return cmd
}

func (r *root) runsList() *cobra.Command {
	var limit uint
	cmd := &cobra.Command{
		Use: "list [CONNECTION]", Short: "List runs, the newest first", Args: atMostOne("the alias of a connection"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				t := r.table(column{"RUN", fixed}, column{"CONNECTION", wraps}, column{"STARTED", fixed}, column{"BY", fixed}, column{"STATE", fixed},
					column{"READ", fixed}, column{"CHANGES", fixed})
				list := stream{w: r.Out}
				err := a.Runs(cmd.Context(), optional(words), most(limit), func(run *engine.Run) error {
					if r.output == "json" {
						return list.add(run)
					}
					read, changes := "-", "-"
					if run.Reading != nil {
						read = number(run.Reading.Entries)
					}
					if run.Summary != nil {
						changes = number(run.Summary.Changes())
					}
					t.add(run.ID, run.Connection, run.StartedAt, run.Trigger, string(run.State), read, changes)
					switch {
					case run.Error != nil:
						t.below(*run.Error)
					case run.Reading != nil && !run.Reading.Complete:
						t.below("the reading was not complete; nobody was removed")
					}
					return nil
				})
				if err == nil && list.count+t.count() == 0 {
					err = narrowed(cmd.Context(), a, "", optional(words))
				}
				if err != nil {
					return err
				}
				if r.output == "json" {
					return list.close()
				}
				t.end("There are no runs yet.")
				return nil
			})
		},
	}
	cmd.Flags().UintVar(&limit, "limit", 50, "how many to list (0 all)")
	return cmd
}

func (r *root) runsShow() *cobra.Command {
	var limit uint
	cmd := &cobra.Command{
		Use: "show RUN", Short: "Show a run and what it changed (RUN may be \"last\")", Args: args(1, "the ID of a run, or \"last\""),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				run, err := a.Run(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(run)
				}
				fmt.Fprintf(r.Out, "Run %s of %s: %s\n", run.ID, run.Connection, run.State)
				if run.Error != nil {
					r.paragraph("  ", *run.Error)
				}
				var p *engine.Plan
				if run.Plan != nil {
					if p, err = a.Plan(cmd.Context(), *run.Plan); err != nil {
						return err
					}
				}
				ended := "took " + took(run)
				if waited(run, p) && run.FinishedAt != nil {
					ended = "waited for a person, ended " + stamp(*run.FinishedAt)
				}
				r.paragraph("Started  ", fmt.Sprintf("%s, %s, by %s; %s", stamp(run.StartedAt), run.Trigger, run.Actor, ended))
				if run.Reverts != nil {
					fmt.Fprintf(r.Out, "Undoes   run %s\n", *run.Reverts)
				}
				r.reading(run.Reading)
				switch {
				case p == nil:
					return nil
				case run.Summary == nil || run.State != engine.RunApplied && run.State != engine.RunReverted:
					return r.showPlan(cmd.Context(), a, p, int(limit))
				}
				// What was done, in the place of what the plan would have done.
				if err := r.written(cmd.Context(), a, run, p); err != nil {
					return err
				}
				r.planHead(p)
				return r.planBody(cmd.Context(), a, p, int(limit))
			})
		},
	}
	cmd.Flags().UintVar(&limit, "limit", 50, "how many rows to show in a table (0 all)")
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
			return r.at(cmd.Context(), func(a place) error {
				bar := newBar(r.Err)
				if only {
					return r.undoing(cmd.Context(), a, words[0], bar)
				}
				run, err := a.Revert(cmd.Context(), words[0], bar.report)
				bar.end()
				if err != nil {
					return err
				}
				return r.outcome(cmd.Context(), a, run)
			})
		},
	}
	cmd.Flags().BoolVar(&only, "plan", false, "show the plan and apply nothing")
	return cmd
}

// undoing shows the plan that would undo a run.
func (r *root) undoing(ctx context.Context, a place, run string, bar *bar) error {
	p, err := a.PlanRevert(ctx, run, bar.report)
	bar.end()
	if err != nil {
		return err
	}
	if err := r.showPlan(ctx, a, p, 50); err != nil || r.output == "json" || p.Verdict == plan.Nothing {
		return err
	}
	fmt.Fprintf(r.Out, "\nNothing was written. To undo the run: rollcall runs revert %s\n", p.Basis.Reverts)
	return nil
}
