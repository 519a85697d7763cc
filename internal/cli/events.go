package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/event"
)

func now() time.Time { return time.Now().UTC() }

func (r *root) events() *cobra.Command {
	cmd := &cobra.Command{Use: "events", Short: "Follow what happens"}
	cmd.AddCommand(r.eventsTail())
	return cmd
}

func (r *root) eventsTail() *cobra.Command {
	var organization string
	var after int64
	var n int
	var follow bool
	cmd := &cobra.Command{
		Use: "tail", Short: "Show the newest events, or those after an ID; --follow waits for more", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.open(cmd.Context(), func(a *app.App) error {
				last := after
				show := func(e event.Event) error {
					last = e.ID
					return r.event(e)
				}
				var err error
				if cmd.Flags().Changed("after") {
					err = a.Store.EventTable.After(cmd.Context(), organization, after, n, show)
				} else {
					err = a.Store.EventTable.Last(cmd.Context(), organization, n, show)
				}
				if err != nil || !follow {
					return err
				}
				return r.follow(cmd.Context(), a, organization, &last, show)
			})
		},
	}
	cmd.Flags().StringVar(&organization, "organization", "", "only this organization")
	cmd.Flags().Int64Var(&after, "after", 0, "events behind this ID, oldest first")
	cmd.Flags().IntVar(&n, "limit", 20, "how many to show at the most")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more until interrupted")
	return cmd
}

func (r *root) follow(ctx context.Context, a *app.App, organization string, last *int64, show func(event.Event) error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := a.Store.EventTable.After(ctx, organization, *last, 1000, show); err != nil {
				return err
			}
		}
	}
}

// event prints one event: a JSON object a line, or a line of words.
func (r *root) event(e event.Event) error {
	if r.output == "json" {
		b, err := json.Marshal(e)
		if err == nil {
			_, err = fmt.Fprintf(r.Out, "%s\n", b)
		}
		return err
	}
	who := "-"
	if e.Account != nil {
		who = e.Account.String()
	}
	_, err := fmt.Fprintf(r.Out, "%-8d %s  %-20s %-12s %s  %s\n", e.ID, cell(e.At), e.Type, cell(e.Connection), who, shorten(clean(e.Why), 80))
	return err
}
