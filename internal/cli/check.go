package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/client"
)

func (r *root) check() *cobra.Command {
	return &cobra.Command{
		Use: "check CONNECTION", Short: "The connection doctor: every step to the directory, with verdict and hint",
		Long: `Goes step by step to the directory and through it: DNS, TCP, TLS, bind, search,
anchor, mapping, duplicates, groups. Nothing is kept or changed.

Exit status: 0 no step failed, 1 one did.`,
		Args: args(1, "the alias of a connection"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				list := stream{w: r.Out}
				ok, err := a.Check(cmd.Context(), words[0], func(s client.Step) {
					if r.output != "json" {
						r.step(s)
						return
					}
					// A step that cannot be printed has nowhere to say so.
					_ = list.add(s) //nolint:errcheck // see above
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

// step prints one step: what it found below one another, and what to do.
func (r *root) step(s client.Step) {
	r.paragraph(fmt.Sprintf("%-4s  %-11s %7s  ", s.Verdict, s.Step, fmt.Sprintf("%d ms", s.TookMS)), s.Detail)
	if s.Hint != "" {
		r.paragraph(fmt.Sprintf("%27shint: ", ""), s.Hint)
	}
}
