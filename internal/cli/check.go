package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/source"
)

func (r *root) check() *cobra.Command {
	return &cobra.Command{
		Use: "check CONNECTION", Short: "The connection doctor: every step to the directory, with verdict and hint",
		Long: `Goes step by step to the directory and through it: DNS, TCP, TLS, bind, search,
anchor, mapping, duplicates, groups. Nothing is kept or changed.

Exit status: 0 no step failed, 1 one did.`,
		Args: args(1, "the alias of a connection"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				c, err := a.Registry.Connection(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				list := stream{w: r.Out}
				ok, err := a.Engine.Check(cmd.Context(), c, func(s source.Step) {
					if r.output != "json" {
						r.step(s)
						return
					}
					// A step that cannot be printed has nowhere to say so.
					_ = list.add(stepJSON{s.Name, s.Verdict, s.Detail, s.Hint, s.Took.Milliseconds()}) //nolint:errcheck // see above
				})
				if err != nil {
					return err
				}
				if r.output == "json" {
					if err := list.close(); err != nil {
						return err
					}
				}
				if !ok {
					return status(exitError)
				}
				return nil
			})
		},
	}
}

type stepJSON struct {
	Step    string         `json:"step"`
	Verdict source.Verdict `json:"verdict"`
	Detail  string         `json:"detail"`
	Hint    string         `json:"hint"`
	TookMS  int64          `json:"took_ms"`
}

// step prints one step: what it found below one another, and what to do.
func (r *root) step(s source.Step) {
	r.paragraph(fmt.Sprintf("%-4s  %-11s %7s  ", s.Verdict, s.Name, s.Took.Round(100*time.Microsecond)), s.Detail)
	if s.Hint != "" {
		r.paragraph(fmt.Sprintf("%27shint: ", ""), s.Hint)
	}
}
