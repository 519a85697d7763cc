package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
)

func (r *root) plans() *cobra.Command {
	cmd := &cobra.Command{Use: "plans", Short: "Look at plans, approve or reject them"}
	cmd.AddCommand(r.plansList(), r.plansShow(), r.plansApprove(), r.plansReject())
	return cmd
}

func (r *root) plansList() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "list [CONNECTION]", Short: "List plans, the newest first", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				list, err := a.Store.PlanTable.List(cmd.Context(), optional(words), limit)
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(append([]*engine.Plan{}, list...))
				}
				t := table{head: []string{"PLAN", "CONNECTION", "CREATED", "STATE", "VERDICT", "CHANGES", "HELD BECAUSE"}}
				for _, p := range list {
					t.add(p.ID, p.Connection, p.CreatedAt, p.State, p.Verdict, number(p.Summary.Changes()), shorten(strings.Join(p.HeldBecause, " "), 80))
				}
				t.print(r.Out)
				return nil
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 50, "how many to list")
	return cmd
}

func optional(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

func (r *root) plansShow() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "show PLAN", Short: "Show a plan row by row (PLAN may be \"last\")", Args: args(1, "the ID of a plan, or \"last\""),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				p, err := a.Store.PlanTable.Get(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				return r.showPlan(cmd.Context(), a, p, limit)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "how many rows to show in a table (0 all)")
	return cmd
}

func (r *root) plansApprove() *cobra.Command {
	var exclude []string
	cmd := &cobra.Command{
		Use: "approve PLAN", Short: "Apply a plan as it was shown, less the rows excluded",
		Long: `Applies exactly the rows of a stored plan, or refuses when the directory, the
settings or an account of the plan has changed since.

Excluded rows are proposed again by the next plan. A plan that needs more seats
than the licence has cannot be approved; exclude people or raise the limit.`,
		Args: args(1, "the ID of a plan"),
		RunE: func(cmd *cobra.Command, words []string) error {
			rows, err := rowNumbers(exclude)
			if err != nil {
				return usage{err}
			}
			return r.open(cmd.Context(), func(a *app.App) error {
				p, err := a.Store.PlanTable.Get(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				c, err := a.Connection(p.Connection)
				if err != nil {
					return err
				}
				bar := newBar(r.Err)
				result, err := a.Engine.Approve(cmd.Context(), c, p.ID, rows, engine.Options{Actor: actor(), Trigger: "approve", Progress: bar.report})
				bar.end()
				if err != nil {
					return err
				}
				return r.outcome(cmd.Context(), a, result)
			})
		},
	}
	cmd.Flags().StringSliceVar(&exclude, "exclude", nil, "row numbers to leave out, such as 3,7,10-14")
	return cmd
}

// rowNumbers reads "3,7,10-14".
func rowNumbers(words []string) ([]int64, error) {
	var out []int64
	for _, w := range words {
		from, to, isRange := strings.Cut(w, "-")
		a, err := strconv.ParseInt(strings.TrimSpace(from), 10, 64)
		b := a
		if isRange && err == nil {
			b, err = strconv.ParseInt(strings.TrimSpace(to), 10, 64)
		}
		if err != nil || a < 1 || b < a || b-a > 10_000_000 {
			return nil, fmt.Errorf("--exclude: %q is not a row number or a range such as 10-14", w)
		}
		for ; a <= b; a++ {
			out = append(out, a)
		}
	}
	return out, nil
}

func (r *root) plansReject() *cobra.Command {
	return &cobra.Command{
		Use: "reject PLAN", Short: "End a plan that waits, applying nothing", Args: args(1, "the ID of a plan"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				p, err := a.Store.PlanTable.Get(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				c, err := a.Connection(p.Connection)
				if err != nil {
					return err
				}
				if p, err = a.Engine.Reject(cmd.Context(), c, p.ID, actor()); err != nil {
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

type noteJSON struct {
	Kind       plan.NoteKind `json:"kind"`
	Name       string        `json:"name"`
	ExternalID *string       `json:"external_id"`
	Account    *account.ID   `json:"account"`
	Text       string        `json:"text"`
}

// errEnough ends a walk that has shown enough.
var errEnough = errors.New("enough")

// eachRow hands on a plan's rows, marking those a person excluded.
func eachRow(ctx context.Context, a *app.App, p *engine.Plan, fn func(plan.Row) error) error {
	excluded, err := a.Store.PlanTable.Excluded(ctx, p.ID)
	if err != nil {
		return err
	}
	err = a.Engine.EachChange(ctx, p, func(c *plan.Change) error {
		return c.Each(func(row plan.Row) error {
			row.Excluded = excluded[row.Seq]
			return fn(row)
		})
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (r *root) showPlan(ctx context.Context, a *app.App, p *engine.Plan, limit int) error {
	if r.output == "json" {
		return r.planJSON(ctx, a, p)
	}
	fmt.Fprintf(r.Out, "Plan %s for %s, made %s: %s\n", p.ID, p.Connection, cell(p.CreatedAt), verdictText(p))
	for _, why := range p.HeldBecause {
		fmt.Fprintf(r.Out, "  held: %s\n", clean(why))
	}
	if !p.Basis.Complete && p.Basis.Reverts == "" {
		fmt.Fprintln(r.Out, "  The reading was NOT COMPLETE: nobody is removed, disabled or emptied.")
	}
	r.summary(&p.Summary)
	t := table{head: []string{"ROW", "ACTION", "TARGET", "WHO", "CHANGE", "WHY"}}
	err := eachRow(ctx, a, p, func(row plan.Row) error {
		if limit > 0 && len(t.rows) >= limit {
			return errEnough
		}
		seq := fmt.Sprint(row.Seq)
		if row.Excluded {
			seq += " (excluded)"
		}
		t.add(seq, row.Action, row.Target, shorten(rowName(&row), 60), shorten(delta(&row), 70), shorten(row.Why, 60))
		return nil
	})
	if err != nil {
		return err
	}
	if len(t.rows) > 0 {
		fmt.Fprintln(r.Out)
		t.print(r.Out)
		if more := p.Summary.Changes() - len(t.rows); more > 0 {
			fmt.Fprintf(r.Out, "... and %s more rows; all of them: rollcall plans show %s\n", number(more), p.ID)
		}
	}
	return r.notes(ctx, a, p, limit)
}

func verdictText(p *engine.Plan) string {
	switch p.Verdict {
	case plan.Nothing:
		return "nothing to do"
	case plan.Held:
		return fmt.Sprintf("HELD, %s changes wait for a person", number(p.Summary.Changes()))
	case plan.Go:
	}
	return number(p.Summary.Changes()) + " changes"
}

func (r *root) notes(ctx context.Context, a *app.App, p *engine.Plan, limit int) error {
	t := table{head: []string{"NOTE", "ENTRY", "WHAT"}}
	more := 0
	err := a.Store.PlanTable.Notes(ctx, p.ID, func(n plan.Note) error {
		switch {
		case n.Kind == plan.Due:
		case limit > 0 && len(t.rows) >= limit:
			more++
		default:
			t.add(string(n.Kind), shorten(n.Name, 60), shorten(n.Text, 160))
		}
		return nil
	})
	if err != nil || len(t.rows) == 0 {
		return err
	}
	fmt.Fprintln(r.Out)
	t.print(r.Out)
	if more > 0 {
		fmt.Fprintf(r.Out, "... and %s more notes; all of them: rollcall plans show %s\n", number(more), p.ID)
	}
	return nil
}

// planJSON prints a plan of any length without holding it: the head, then the
// rows one by one.
func (r *root) planJSON(ctx context.Context, a *app.App, p *engine.Plan) error {
	head, err := json.Marshal(p)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.Out, "%s,\n\"changes\": ", strings.TrimSuffix(string(head), "}"))
	rows := stream{w: r.Out}
	if err := eachRow(ctx, a, p, func(row plan.Row) error { return rows.add(row) }); err != nil {
		return err
	}
	if err := rows.close(); err != nil {
		return err
	}
	fmt.Fprint(r.Out, ",\"notes\": ")
	notes := stream{w: r.Out}
	err = a.Store.PlanTable.Notes(ctx, p.ID, func(n plan.Note) error {
		j := noteJSON{Kind: n.Kind, Name: n.Name, Text: n.Text}
		if n.ExternalID != "" {
			id := string(n.ExternalID)
			j.ExternalID = &id
		}
		if !n.Account.IsZero() {
			j.Account = &n.Account
		}
		return notes.add(j)
	})
	if err != nil {
		return err
	}
	if err := notes.close(); err != nil {
		return err
	}
	_, err = fmt.Fprintln(r.Out, "}")
	return err
}

func rowName(row *plan.Row) string {
	if row.Target == plan.Membership && row.Account != nil {
		return row.Name + ": " + row.Account.String()
	}
	return row.Name
}

// delta is before and after of a row in a few words.
func delta(row *plan.Row) string {
	var before, after map[string]any
	if json.Unmarshal(row.Before, &before) != nil || json.Unmarshal(row.After, &after) != nil {
		return ""
	}
	if row.Action == plan.Create && row.Target == plan.Account {
		return fmt.Sprintf("%v <%v> %v %v", after["username"], after["email"], after["first_name"], after["last_name"])
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(after)) {
		parts = append(parts, fmt.Sprintf("%s: %s -> %s", k, short(before[k]), short(after[k])))
	}
	return strings.Join(parts, ", ")
}

func short(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case string:
		return shorten(v, 40)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return shorten(string(b), 40)
}
