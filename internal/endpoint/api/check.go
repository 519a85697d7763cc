package api

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/source"
)

func stepOf(s source.Step) client.Step {
	return client.Step{Step: s.Name, Verdict: string(s.Verdict), Detail: s.Detail, Hint: s.Hint, TookMS: s.Took.Milliseconds()}
}

// check is the connection doctor.
func (s *server) check(ctx context.Context, in *struct {
	AliasPath
	Accept
}) (func(huma.Context), error) {
	c, err := s.open(ctx, in.Alias)
	if err != nil {
		return nil, err
	}
	if in.stream() {
		return func(h huma.Context) {
			out := newSSE(h)
			all := client.Check{Steps: []client.Step{}}
			err := s.beat(h.Context(), out, func(ctx context.Context) error {
				var lost error
				ok, err := s.Engine.Check(ctx, c, func(one source.Step) {
					all.Steps = append(all.Steps, stepOf(one))
					if lost == nil {
						lost = out.send("step", "", stepOf(one))
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
	all := client.Check{Steps: []client.Step{}}
	all.OK, err = s.Engine.Check(ctx, c, func(one source.Step) { all.Steps = append(all.Steps, stepOf(one)) })
	if err != nil {
		return nil, err
	}
	return func(h huma.Context) { whole(encode(h, all)) }, nil
}
