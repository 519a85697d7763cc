package cli

import (
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
)

func (r *root) plans() *cobra.Command {
	cmd := &cobra.Command{Use: "plans", Short: "Look at plans, approve or reject them"}
	cmd.AddCommand(r.plansList(), r.plansShow(), r.plansApprove(), r.plansReject())
	return cmd
}

func (r *root) plansList() *cobra.Command {
	var limit uint
	cmd := &cobra.Command{
		Use: "list [CONNECTION]", Short: "List plans, the newest first", Args: atMostOne("the alias of a connection"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				list, err := a.Plans(cmd.Context(), optional(words), most(limit))
				if err == nil && len(list) == 0 {
					err = narrowed(cmd.Context(), a, "", optional(words))
				}
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(append([]*engine.Plan{}, list...))
				}
				t := r.table(column{"PLAN", fixed}, column{"CONNECTION", wraps}, column{"MADE", fixed}, column{"STATE", fixed}, column{"VERDICT", fixed}, column{"CHANGES", fixed})
				for _, p := range list {
					t.add(p.ID, p.Connection, p.CreatedAt, string(p.State), string(p.Verdict), number(p.Summary.Changes()))
					if p.Basis.Draft != "" {
						t.below("A preview, made with settings that are not saved.")
					}
					if p.State == plan.Waiting {
						t.below(strings.Join(p.HeldBecause, " "))
					}
				}
				t.end("There are no plans yet.")
				return nil
			})
		},
	}
	cmd.Flags().UintVar(&limit, "limit", 50, "how many to list (0 all)")
	return cmd
}

func optional(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

func (r *root) plansShow() *cobra.Command {
	var limit uint
	cmd := &cobra.Command{
		Use: "show PLAN", Short: "Show a plan row by row (PLAN may be \"last\")", Args: args(1, "the ID of a plan, or \"last\""),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				p, err := a.Plan(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				return r.showPlan(cmd.Context(), a, p, int(limit))
			})
		},
	}
	cmd.Flags().UintVar(&limit, "limit", 0, "how many rows to show in a table (0 all)")
	return cmd
}

func (r *root) plansApprove() *cobra.Command {
	var exclude []string
	cmd := &cobra.Command{
		Use: "approve PLAN", Short: "Apply a plan as it was shown, less the rows excluded",
		Long: `Applies exactly the rows of a stored plan, or refuses when the directory, the
settings or an account of the plan has changed since.

Excluded rows are proposed again by the next plan, but for people who would be
disabled or deleted: the runs that follow leave them out as well. A plan that
needs more seats than the licence has cannot be approved; exclude people or raise
the limit.`,
		Args: args(1, "the ID of a plan"),
		RunE: func(cmd *cobra.Command, words []string) error {
			if _, err := plan.RowNumbers(exclude); err != nil {
				return usage{fmt.Errorf("--exclude: %w", err)}
			}
			return r.at(cmd.Context(), func(a place) error {
				bar := newBar(r.Err)
				run, err := a.Approve(cmd.Context(), words[0], exclude, bar.report)
				bar.end()
				if err != nil {
					return err
				}
				return r.outcome(cmd.Context(), a, run)
			})
		},
	}
	cmd.Flags().StringSliceVar(&exclude, "exclude", nil, "row numbers to leave out, such as 3,7,10-14")
	return cmd
}

// most is a --limit for the database, where 0 stands for all.
func most(limit uint) int {
	if limit == 0 || limit > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit)
}

func (r *root) plansReject() *cobra.Command {
	return &cobra.Command{
		Use: "reject PLAN", Short: "End a plan that waits, applying nothing", Args: args(1, "the ID of a plan"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				p, err := a.Reject(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(p)
				}
				fmt.Fprintf(r.Out, "Plan %s is rejected; nothing was written. The next plan proposes its changes again.\n", p.ID)
				return nil
			})
		},
	}
}
