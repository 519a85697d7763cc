package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
			return r.at(cmd.Context(), func(a place) error {
				bar := newBar(r.Err)
				made, err := a.MakePlan(cmd.Context(), words[0], full, bar.report)
				bar.end()
				if err != nil {
					return err
				}
				if err := r.showPlan(cmd.Context(), a, made, 50); err != nil {
					return err
				}
				return r.next(cmd.Context(), a, made)
			})
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "read everything, even where reading only what changed would do")
	return cmd
}

// next says what can be done with a plan that was just made, and gives the exit
// status for it.
func (r *root) next(ctx context.Context, a place, p *engine.Plan) error {
	switch p.Verdict {
	case plan.Go:
		if r.output == "json" {
			return status(exitPending)
		}
		c, err := a.Connection(ctx, p.Connection)
		if err != nil {
			return err
		}
		if c.DryRun {
			fmt.Fprintln(r.Out, "\n"+inDryRun)
		} else {
			fmt.Fprintf(r.Out, "\nCarry out exactly this: rollcall plans approve %s\nRead again and do it:   rollcall sync %s\n", p.ID, p.Connection)
		}
		return status(exitPending)
	case plan.Held:
		if r.output != "json" {
			fmt.Fprintln(r.Out)
			if err := r.decide(ctx, a, p); err != nil {
				return err
			}
		}
		return status(exitHeld)
	case plan.Nothing:
	}
	return nil
}

func (r *root) sync() *cobra.Command {
	var full, watch bool
	var every time.Duration
	var who string
	cmd := &cobra.Command{
		Use:   "sync CONNECTION",
		Short: "Read the directory, plan and apply",
		Long: `Reads the directory, plans, and applies the plan. A plan over a limit is held
and waits for "rollcall plans approve"; nothing of it is written.

With --watch it stays: a change that the directory tells of (OpenLDAP, 389
Directory Server and Active Directory can) is read at once, and what it does not
tell of at the latest after --every. Ctrl-C ends it.

With --who it reads one person (a name, DN, e-mail address or external ID), plans
what moved and applies it. Nobody is removed for not being found, and groups are
not read.

Exit status: 0 done, 3 held (also under dry-run), 1 error.`,
		Args: args(1, "the alias of a connection"),
		RunE: func(cmd *cobra.Command, words []string) error {
			if watch && every < time.Second {
				return usage{fmt.Errorf("--every %s: a second is the least", every)}
			}
			if cmd.Flags().Changed("who") && strings.TrimSpace(who) == "" {
				return usage{errors.New("--who names nobody; give a name, DN, e-mail address or external ID")}
			}
			if watch {
				return r.open(cmd.Context(), func(a *app.App) error {
					c, err := a.Registry.Connection(cmd.Context(), words[0])
					if err != nil {
						return err
					}
					return r.watch(cmd.Context(), a, c, engine.Options{Full: full, Actor: actor(), Trigger: "watch"}, every)
				})
			}
			return r.at(cmd.Context(), func(a place) error {
				bar := newBar(r.Err)
				var run *engine.Run
				var err error
				if cmd.Flags().Changed("who") {
					run, err = a.SyncPerson(cmd.Context(), words[0], strings.TrimSpace(who), bar.report)
				} else {
					run, err = a.Sync(cmd.Context(), words[0], full, bar.report)
				}
				bar.end()
				if err != nil {
					return err
				}
				return r.outcome(cmd.Context(), a, run)
			})
		},
	}
	cmd.Flags().BoolVar(&full, "full", false, "read everything, even where reading only what changed would do")
	cmd.Flags().StringVar(&who, "who", "", "read this one person alone")
	cmd.Flags().BoolVar(&watch, "watch", false, "stay, and read whenever the directory tells of a change")
	cmd.Flags().DurationVar(&every, "every", 5*time.Minute, "with --watch: the longest time between two readings")
	cmd.MarkFlagsMutuallyExclusive("who", "full")
	cmd.MarkFlagsMutuallyExclusive("who", "watch")
	return cmd
}

// outcome shows how a run ended, and gives the exit status for it.
func (r *root) outcome(ctx context.Context, a place, run *engine.Run) error {
	if r.output == "json" {
		if err := r.json(run); err != nil {
			return err
		}
	} else if err := r.runText(ctx, a, run); err != nil {
		return err
	}
	if run.State == engine.RunHeld {
		return status(exitHeld)
	}
	return nil
}

func (r *root) runText(ctx context.Context, a place, run *engine.Run) error {
	var p *engine.Plan
	if a != nil && run.Plan != nil {
		var err error
		if p, err = a.Plan(ctx, *run.Plan); err != nil {
			return err
		}
	}
	if run.State != engine.RunHeld {
		in := " in " + took(run)
		if waited(run, p) {
			in = ""
		}
		fmt.Fprintf(r.Out, "Run %s %s%s.\n", run.ID, run.State, in)
		r.reading(run.Reading)
		if run.Summary == nil {
			return nil
		}
		if err := r.written(ctx, a, run, p); err != nil {
			return err
		}
		if run.Summary.Failed > 0 {
			fmt.Fprintf(r.Out, "Some changes could not be written; what and why: rollcall runs show %s\n", run.ID)
		}
		return nil
	}
	if err := r.showPlan(ctx, a, p, 20); err != nil {
		return err
	}
	fmt.Fprintf(r.Out, "\nRun %s is held; nothing was written.\n", run.ID)
	if p.Verdict == plan.Held {
		return r.decide(ctx, a, p)
	}
	if run.Error != nil {
		r.paragraph("Because: ", strings.TrimSuffix(*run.Error, ".")+".")
	}
	return nil
}

// written shows what a run did, and how many rows of its plan it left out. p is nil
// where the plan is not to be had.
func (r *root) written(ctx context.Context, a place, run *engine.Run, p *engine.Plan) error {
	r.summary(run.Summary, applied)
	if p == nil {
		return nil
	}
	rows := p.Summary.Changes() - run.Summary.Changes()
	if rows <= 0 {
		return nil
	}
	text := counted(rows, "row") + " by a person"
	switch {
	case run.Summary.Failed > 0 && p.Pruned:
		text = counted(rows, "row") + " by a person, or because they failed"
	case run.Summary.Failed > 0:
		var parts []string
		excluded := 0
		err := eachRow(ctx, a, p, func(row plan.Row) error {
			if row.Excluded {
				excluded++
			}
			return nil
		})
		if err != nil {
			return err
		}
		if excluded > 0 {
			parts = append(parts, counted(excluded, "row")+" by a person")
		}
		if failed := rows - excluded; failed > 0 {
			parts = append(parts, counted(failed, "row")+" that could not be written")
		}
		text = strings.Join(parts, ", ")
	}
	r.paragraph("Left out ", text)
	return nil
}

const inDryRun = "dry-run is on for this connection: nothing of it is carried out."

// decide says what a person can do about a plan that waits.
func (r *root) decide(ctx context.Context, a place, p *engine.Plan) error {
	c, err := a.Connection(ctx, p.Connection)
	if err != nil {
		return err
	}
	approve := ""
	if c.DryRun {
		fmt.Fprintln(r.Out, inDryRun) // approve refuses too
	} else {
		approve = `
Carry it out:      rollcall plans approve %[1]s
 but for rows:     rollcall plans approve %[1]s --exclude 3,7,10-14`
	}
	fmt.Fprintf(r.Out, `All of it:         rollcall plans show %[1]s`+approve+`
Or end it:         rollcall plans reject %[1]s
`, p.ID)
	return nil
}

// waited is true of a run whose plan was decided on by a person before it ended: the
// time from its start to its end is how long that took them. A run by which a plan is
// approved begins when it is.
func waited(run *engine.Run, p *engine.Plan) bool {
	return p != nil && p.Verdict == plan.Held && run.State != engine.RunHeld && run.Trigger != "approve"
}

func took(run *engine.Run) string {
	if run.FinishedAt == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f s", run.FinishedAt.Sub(run.StartedAt).Seconds())
}

// reading prints what a run read, and whether it saw everything.
func (r *root) reading(g *engine.ReadingReport) {
	if g == nil {
		return
	}
	people := number(g.Users) + " people"
	if g.Users == 1 {
		people = "1 person"
	}
	text := fmt.Sprintf("%s, %s; %s new or changed, %s gone", people, counted(g.Groups, "group"), number(g.Changed), number(g.Gone))
	if !g.Full {
		text += "\nOnly changes were read, by " + g.Method
		if g.Swept {
			text += ", and the IDs of everybody there"
		}
		if g.LastFull != nil {
			text += "; everything was last read " + stamp(*g.LastFull)
		}
	}
	if !g.Complete {
		text += "\nNOT COMPLETE"
		if g.Reason != nil {
			text += ": " + *g.Reason
		}
		text += "\nNobody is removed, disabled or emptied from it."
	}
	for _, n := range g.Notes {
		text += "\n" + n
	}
	r.paragraph("Read     ", text)
}

// tense is how actions are told: of a plan, or of a run that carried it out.
type tense int

const (
	planned tense = iota
	applied
)

var verbs = map[tense][]string{
	planned: {"create", "update", "link", "enable", "restore", "disable", "delete", "keep", "add", "remove", "purge"},
	applied: {"created", "updated", "linked", "enabled", "restored", "disabled", "deleted", "kept", "added", "removed", "purged"},
}

// summary prints what a plan holds, leaving out what is zero.
func (r *root) summary(s *plan.Summary, t tense) {
	line := func(label string, parts ...string) {
		if said := slices.DeleteFunc(parts, func(p string) bool { return p == "" }); len(said) > 0 {
			r.paragraph(fmt.Sprintf("%-9s", label), strings.Join(said, ", "))
		}
	}
	plain := func(n int, word string) string {
		if n == 0 {
			return ""
		}
		return number(n) + " " + word
	}
	some := func(verb, n int) string { return plain(n, verbs[t][verb]) }
	counts := func(c plan.Counts) []string {
		return []string{some(0, c.Create), some(1, c.Update), some(2, c.Link), some(3, c.Enable), some(4, c.Restore), some(5, c.Disable), some(6, c.Delete), some(7, c.Keep)}
	}
	noted := func(n int, what string) string {
		if n == 0 {
			return ""
		}
		return counted(n, what)
	}
	line("Accounts", append(counts(s.Counts), some(10, s.Purge))...)
	line("Groups", counts(s.Groups)...)
	line("Members", some(8, s.Add), some(9, s.Remove))
	line("Noted", plain(s.Refused, "refused"), noted(s.Problems, "problem"), noted(s.Disputes, "dispute"), noted(s.Warnings, "warning"),
		plain(s.Failed, "failed"), plain(s.OutOfScope, "out of scope"))
	after := ""
	if t == planned {
		after = " afterwards"
	}
	fmt.Fprintf(r.Out, "%-9s%s%s\n", "Seats", counted(s.SeatsNeeded, "active account"), after)
}
