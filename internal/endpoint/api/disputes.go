package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/store/plans"
)

func (s *server) disputes() {
	const tag = "plans"
	register(s, operation{id: "list-disputes", method: http.MethodGet, path: "/disputes", tag: tag, summary: "What waits for the decision of a person",
		description: "From the newest plan of each connection: disputes, overlaps of two connections, and accounts of other providers that could be adopted.", fails: []int{http.StatusNotFound}}, s.listDisputes)
	register(s, operation{id: "list-plan-problems", method: http.MethodGet, path: "/plans/{id}/problems", tag: tag, summary: "What a plan does not do, grouped by cause", fails: []int{http.StatusConflict}}, s.listProblems)
}

// disputePlace is where a list of disputes goes on: in this connection behind this
// note, of the plan it had then.
type disputePlace struct {
	Connection string
	Plan       string
	At         plans.NotePlace
}

func (s *server) listDisputes(ctx context.Context, in *struct {
	Paging
	Narrow
	Kind string `query:"kind" enum:"dispute,overlap,mismatch" doc:"Only these."`
}) (*pageOf[client.Dispute], error) {
	organization, err := within(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	list := fmt.Sprintf("disputes %q %q %q", organization, in.Connection, in.Kind)
	var from disputePlace
	if err := openCursor(list, in.Cursor, &from); err != nil {
		return nil, err
	}
	var found []client.Dispute
	var places []disputePlace
	const some = 20 // connections at a time
	for again := true; len(found) <= in.Limit; again = false {
		next, err := s.Store.PlanTable.Undecided(ctx, organization, in.Connection, from.Connection, again, some)
		if err != nil {
			return nil, err
		}
		for _, u := range next {
			id := ""
			if u.Plan != nil {
				id = u.Plan.ID
			}
			var after plans.NotePlace
			if u.Connection == from.Connection && id == from.Plan { // where another plan came in between, it begins anew
				after = from.At
			}
			err := s.Store.PlanTable.Refused(ctx, u, after, func(at plans.NotePlace, n plan.Note) error {
				d := dispute(&u, &n)
				if d.Kind == "" || in.Kind != "" && d.Kind != in.Kind {
					return nil
				}
				found, places = append(found, d), append(places, disputePlace{u.Connection, id, at})
				if len(found) > in.Limit {
					return plans.ErrEnough
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
			if len(found) > in.Limit {
				break
			}
		}
		if len(next) < some {
			break
		}
		from = disputePlace{Connection: next[some-1].Connection}
	}
	return cut(list, found, in.Limit, func(client.Dispute) any { return places[in.Limit-1] })
}

// dispute shows a note; one whose match needs nobody's decision has no kind.
func dispute(u *plans.Undecided, n *plan.Note) client.Dispute {
	d := client.Dispute{Organization: u.Organization, Connection: u.Connection, Kind: "dispute", Case: "unknown", Text: n.Text, Sides: []client.DisputeSide{}}
	if u.Plan != nil && !u.Plan.Pruned {
		d.Plan = &u.Plan.ID
	}
	d.Entry = disputeSide(match.Side{Account: n.Account, Connection: u.Connection, Name: n.Name, ExternalID: string(n.ExternalID)})
	if n.About == nil {
		return d
	}
	d.Case = string(n.About.Case)
	switch n.About.Case {
	case match.Overlaps:
		d.Kind = "overlap"
	case match.Mismatch:
		d.Kind = "mismatch"
	case match.Owned:
		d.Kind = "" // it was decided
	case match.Claimed, match.Taken, match.Several, match.Shared, match.Crowded:
	}
	for _, side := range n.About.Sides {
		d.Sides = append(d.Sides, disputeSide(side))
	}
	return d
}

func disputeSide(m match.Side) client.DisputeSide {
	return client.DisputeSide{Account: idText(m.Account), Connection: optional(m.Connection), Name: optional(m.Name), ExternalID: optional(m.ExternalID), By: append([]string{}, m.By...)}
}

func idText(id account.ID) *string { return optional(id.String()) }

const (
	mostCauses   = 200
	mostExamples = 5
)

// severity is the order in which kinds of notes are shown.
var severity = []plan.NoteKind{plan.Failed, plan.Problem, plan.Dispute, plan.Refused, plan.Unresolved, plan.Warning, plan.Excluded, plan.Due}

func (s *server) listProblems(ctx context.Context, in *PlanPath) (*body[client.PlanProblems], error) {
	p, err := s.aPlan(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	type key struct {
		kind plan.NoteKind
		plan.Cause
	}
	out := client.PlanProblems{Plan: p.ID, Items: []client.PlanProblem{}}
	at := map[key]int{}
	err = s.Store.PlanTable.NotesFrom(ctx, p, plans.NotePlace{}, func(_ plans.NotePlace, n plan.Note) error {
		for _, cause := range n.Causes() {
			k := key{n.Kind, cause}
			i, known := at[k]
			if !known {
				if len(out.Items) == mostCauses {
					out.More++
					continue
				}
				i = len(out.Items)
				at[k] = i
				out.Items = append(out.Items, client.PlanProblem{Kind: string(n.Kind), Field: optional(cause.Field), Cause: cause.Text, Examples: []client.Note{}})
			}
			one := &out.Items[i]
			if one.Count++; len(one.Examples) < mostExamples {
				one.Examples = append(one.Examples, client.Note{Kind: string(n.Kind), Name: n.Name, ExternalID: optional(string(n.ExternalID)), Account: idText(n.Account), Text: n.Text})
			}
		}
		return nil
	})
	slices.SortStableFunc(out.Items, func(a, b client.PlanProblem) int {
		return cmp.Or(slices.Index(severity, plan.NoteKind(a.Kind))-slices.Index(severity, plan.NoteKind(b.Kind)), b.Count-a.Count)
	})
	return &body[client.PlanProblems]{out}, err
}
