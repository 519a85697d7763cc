package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
)

func (r *root) plan() *cobra.Command {
	var full bool
	cmd := &cobra.Command{
		Use:   "plan CONNECTION",
		Short: "Read the directory and show what would change",
		Long: `Reads the directory and shows what would change. Nothing is applied; the plan
is kept and can be approved with "rollcall plans approve".

Exit status: 0 nothing to do, 2 changes, 3 the plan is held, 1 error.`,
		Args: args(1, "the alias of a connection"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				c, err := a.Connection(words[0])
				if err != nil {
					return err
				}
				bar := newBar(r.Err)
				result, err := a.Engine.Plan(cmd.Context(), c, engine.Options{Full: full, Actor: actor(), Trigger: "manual", Progress: bar.report})
				bar.end()
				if err != nil {
					return err
				}
				if err := r.showPlan(cmd.Context(), a, result.Plan, 50); err != nil {
					return err
				}
				switch result.Plan.Verdict {
				case plan.Go:
					return status(exitPending)
				case plan.Held:
					return status(exitHeld)
				case plan.Nothing:
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "read everything, even where reading only what changed would do")
	return cmd
}

func (r *root) sync() *cobra.Command {
	var full bool
	cmd := &cobra.Command{
		Use:   "sync CONNECTION",
		Short: "Read the directory, plan and apply",
		Long: `Reads the directory, plans, and applies the plan. A plan over a limit is held
and waits for "rollcall plans approve"; nothing of it is written.

Exit status: 0 done, 3 held (also under dry-run), 1 error.`,
		Args: args(1, "the alias of a connection"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				c, err := a.Connection(words[0])
				if err != nil {
					return err
				}
				bar := newBar(r.Err)
				result, err := a.Engine.Sync(cmd.Context(), c, engine.Options{Full: full, Actor: actor(), Trigger: "manual", Progress: bar.report})
				bar.end()
				if err != nil {
					return err
				}
				return r.outcome(cmd.Context(), a, result)
			})
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "read everything, even where reading only what changed would do")
	return cmd
}

// outcome shows how a run ended, and gives the exit status for it.
func (r *root) outcome(ctx context.Context, a *app.App, result *engine.Result) error {
	run := result.Run
	if r.output == "json" {
		if err := r.json(run); err != nil {
			return err
		}
	} else if err := r.runText(ctx, a, run, result.Plan); err != nil {
		return err
	}
	if run.State == engine.RunHeld {
		return status(exitHeld)
	}
	return nil
}

func (r *root) runText(ctx context.Context, a *app.App, run *engine.Run, p *engine.Plan) error {
	switch run.State {
	case engine.RunHeld:
		if err := r.showPlan(ctx, a, p, 20); err != nil {
			return err
		}
		fmt.Fprintf(r.Out, "\nRun %s is held; nothing was written.\n", run.ID)
		if p.Verdict == plan.Held {
			fmt.Fprintf(r.Out, "Look at it: rollcall plans show %s\nThen:       rollcall plans approve %s   or   rollcall plans reject %s\n", p.ID, p.ID, p.ID)
		} else if run.Error != nil {
			fmt.Fprintf(r.Out, "Because: %s.\n", clean(*run.Error))
		}
	default:
		fmt.Fprintf(r.Out, "Run %s %s in %s.\n", run.ID, run.State, took(run))
		if run.Reading != nil {
			fmt.Fprintf(r.Out, "Read     %s\n", readingText(run.Reading))
		}
		if run.Summary != nil {
			r.summary(run.Summary)
		}
	}
	return nil
}

func took(run *engine.Run) string {
	if run.FinishedAt == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f s", run.FinishedAt.Sub(run.StartedAt).Seconds())
}

func readingText(g *engine.ReadingReport) string {
	text := fmt.Sprintf("%s people, %s groups; %s changed, %s gone", number(g.Users), number(g.Groups), number(g.Changed), number(g.Gone))
	if !g.Complete {
		text += "\n         NOT COMPLETE"
		if g.Reason != nil {
			text += ": " + clean(*g.Reason)
		}
		text += "\n         Nobody is removed, disabled or emptied from it."
	}
	for _, n := range g.Notes {
		text += "\n         " + clean(n)
	}
	return text
}

// summary prints what a plan holds, leaving out what is zero.
func (r *root) summary(s *plan.Summary) {
	line := func(label string, parts ...string) {
		var said []string
		for _, p := range parts {
			if p != "" {
				said = append(said, p)
			}
		}
		if len(said) > 0 {
			fmt.Fprintf(r.Out, "%-9s%s\n", label, strings.Join(said, ", "))
		}
	}
	counts := func(c plan.Counts) []string {
		return []string{some(c.Create, "create"), some(c.Update, "update"), some(c.Link, "link"), some(c.Enable, "enable"), some(c.Restore, "restore"),
			some(c.Disable, "disable"), some(c.Delete, "delete"), some(c.Keep, "keep")}
	}
	line("Accounts", counts(s.Counts)...)
	line("Groups", counts(s.Groups)...)
	line("Members", some(s.Add, "add"), some(s.Remove, "remove"))
	line("Noted", some(s.Refused, "refused"), some(s.Problems, "problems"), some(s.Disputes, "disputes"), some(s.Warnings, "warnings"),
		some(s.Failed, "failed"), some(s.OutOfScope, "out of scope"))
	fmt.Fprintf(r.Out, "%-9s%s active after this\n", "Seats", number(s.SeatsNeeded))
}

func some(n int, what string) string {
	if n == 0 {
		return ""
	}
	return number(n) + " " + what
}
