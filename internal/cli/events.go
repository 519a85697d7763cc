package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/internal/account"
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
	var n uint
	var follow bool
	cmd := &cobra.Command{
		Use: "tail", Short: "Show the newest events, or those after an ID; --follow waits for more", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if after < 0 {
				return usage{fmt.Errorf("--after %d: the first event is 1; 0 shows all there are", after)}
			}
			return r.at(cmd.Context(), func(a place) error {
				t := tail{r: r, a: a, last: after, who: names{a: a, known: map[account.ID]string{}}, groups: map[account.ID]string{}}
				newest, err := a.NewestEvent(cmd.Context())
				if err != nil {
					return err
				}
				if cmd.Flags().Changed("after") {
					err = a.Events(cmd.Context(), organization, after, most(n), t.take)
				} else {
					err = a.LastEvents(cmd.Context(), organization, most(n), t.take)
				}
				if err == nil {
					err = t.show(cmd.Context())
				}
				if err != nil || !follow {
					return err
				}
				if !cmd.Flags().Changed("after") {
					t.last = max(t.last, newest)
				}
				return t.follow(cmd.Context(), organization)
			})
		},
	}
	cmd.Flags().StringVar(&organization, "organization", "", "only this organization")
	cmd.Flags().Int64Var(&after, "after", 0, "events behind this ID, oldest first")
	cmd.Flags().UintVar(&n, "limit", 20, "how many to show at the most (0 all)")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more until interrupted")
	return cmd
}

// tail prints events in the order of their numbers.
type tail struct {
	r      *root
	a      place
	last   int64 // the number shown last
	batch  []event.Event
	who    names
	groups map[account.ID]string
}

// take prints an event as a JSON line, or keeps it until names can be looked up
// for many of them.
func (t *tail) take(e event.Event) error {
	t.last = e.ID
	if t.r.output != "json" {
		t.batch = append(t.batch, e)
		return nil
	}
	b, err := json.Marshal(e)
	if err == nil {
		fmt.Fprintf(t.r.Out, "%s\n", b)
	}
	return err
}

func (t *tail) follow(ctx context.Context, organization string) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := t.next(ctx, organization); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// next shows what there is by now. Where the organization has had nothing, the
// place in the feed goes on all the same: what lies behind may be pruned one day.
func (t *tail) next(ctx context.Context, organization string) error {
	newest, err := t.a.NewestEvent(ctx)
	if err != nil {
		return err
	}
	const most = 1000
	n := 0
	err = t.a.Events(ctx, organization, t.last, most, func(e event.Event) error {
		n++
		return t.take(e)
	})
	if err != nil {
		return err
	}
	if n < most {
		t.last = max(t.last, newest)
	}
	return t.show(ctx)
}

// show prints what was taken as lines for a person.
func (t *tail) show(ctx context.Context) error {
	ids := make([]account.ID, 0, len(t.batch))
	for i := range t.batch {
		if id := t.batch[i].Account; id != nil && t.who.known[*id] == "" {
			ids = append(ids, *id)
		}
	}
	found, err := t.a.Names(ctx, ids)
	if err != nil {
		return err
	}
	maps.Copy(t.who.known, found)
	if err := t.groupNames(ctx); err != nil {
		return err
	}
	for i := range t.batch {
		e := &t.batch[i]
		text := t.about(e)
		if e.Why != "" && !slices.Contains(obvious, e.Why) {
			text += ": " + e.Why
		}
		t.r.paragraph(fmt.Sprintf("%-6d  %s  %-18s  %s  ", e.ID, e.At.Local().Format(time.DateTime), e.Type, cell(e.Connection)), text)
	}
	t.batch = t.batch[:0]
	return nil
}

// groupNames looks up the groups of events that name them by ID only.
func (t *tail) groupNames(ctx context.Context) error {
	for i := range t.batch {
		if id := t.batch[i].Group; id == nil || t.groups[*id] != "" {
			continue
		}
		var err error
		t.groups, err = groupNames(ctx, t.a)
		return err
	}
	return nil
}

// about names what an event is about: a person, a group, a run.
func (t *tail) about(e *event.Event) string {
	who := ""
	if e.Account != nil {
		who = t.who.known[*e.Account]
		if who == "" {
			who = e.Account.String()
		}
	}
	group := ""
	if e.Group != nil {
		group = t.groups[*e.Group]
		if group == "" {
			group = e.Group.String()
		}
	}
	switch {
	case who != "" && group != "":
		return who + ", " + group
	case who != "" || group != "":
		return who + group
	case e.Run != nil:
		return "run " + *e.Run
	}
	return "-"
}
