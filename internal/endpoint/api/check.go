package api

import (
	"context"
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// StepOf is a step of the connection doctor as clients see it.
func StepOf(s source.Step) client.Step {
	out := client.Step{Step: s.Name, Section: string(s.Section), Verdict: string(s.Verdict), Detail: s.Detail, Hint: s.Hint, TookMS: s.Took.Milliseconds(),
		Count: s.Count, Names: some(s.Names)}
	if p := s.Proposal; p != nil {
		out.Proposal = &client.Proposal{Vendor: p.Vendor, Version: p.Version, Bases: some(p.Bases), Filter: p.Filter, Anchor: p.Anchor, GroupFilter: p.GroupFilter,
			GroupName: p.GroupName, GroupMembers: some(p.GroupMembers), Columns: some(p.Columns), Encoding: p.Encoding, Separator: p.Separator, Mapping: map[string]client.Rule{}}
		for field, rule := range p.Mapping {
			out.Proposal.Mapping[field] = client.Rule(rule)
		}
	}
	return out
}

// some is a list that is [] where it is empty, and not null.
func some(list []string) []string { return append([]string{}, list...) }

// check is the connection doctor.
func (s *server) check(ctx context.Context, in *struct {
	AliasPath
	Accept
}) (func(huma.Context), error) {
	c, err := s.open(ctx, in.Alias)
	if err != nil {
		return nil, err
	}
	return s.checked(ctx, c, in.Accept)
}

// checkDraft is the doctor on settings that are not saved.
func (s *server) checkDraft(ctx context.Context, in *struct {
	Accept
	Alias string `query:"alias" maxLength:"64" doc:"The connection that the body is a merge patch over; without it the body is a whole one."`
	Body  json.RawMessage
}) (func(huma.Context), error) {
	c, err := s.draft(ctx, in.Alias, in.Body)
	if err != nil {
		return nil, err
	}
	return s.checked(ctx, c, in.Accept)
}

// checked goes through the steps, one by one where the caller wants them so.
func (s *server) checked(ctx context.Context, c setting.Connection, in Accept) (func(huma.Context), error) {
	all := client.Check{Steps: []client.Step{}}
	if !in.stream() {
		var err error
		if all.OK, err = s.Engine.Check(ctx, c, func(one source.Step) { all.Steps = append(all.Steps, StepOf(one)) }); err != nil {
			return nil, err
		}
		return func(h huma.Context) { whole(encode(h, all)) }, nil
	}
	return func(h huma.Context) {
		out := newSSE(h)
		err := s.beat(h.Context(), out, func(ctx context.Context) error {
			var lost error
			ok, err := s.Engine.Check(ctx, c, func(one source.Step) {
				step := StepOf(one)
				all.Steps = append(all.Steps, step)
				if lost == nil {
					lost = out.send("step", "", step)
				}
			})
			all.OK = ok
			if err == nil {
				err = lost
			}
			return err
		})
		if err != nil {
			s.failed(h.Context(), out, err)
			return
		}
		whole(out.send("end", "", all))
	}, nil
}
