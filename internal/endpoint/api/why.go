package api

import (
	"context"
	"net/http"

	"rollcall.dev/rollcall/internal/engine"
)

func (s *server) why() {
	register(s, operation{id: "why", method: http.MethodGet, path: "/why", tag: "accounts", summary: "Is this person in, and through which step did they get in or fall out",
		description: "Each entry that the word names has a trace of its own. People who were not read are looked for in the directory itself.",
		fails:       []int{http.StatusNotFound, http.StatusConflict}},
		func(ctx context.Context, in *struct {
			Connection string `query:"connection" required:"true" doc:"The connection's alias."`
			Who        string `query:"who" required:"true" maxLength:"1000" doc:"A name, DN, username, e-mail address or external ID."`
		}) (*pageOf[engine.Why], error) {
			c, err := s.open(ctx, in.Connection)
			if err != nil {
				return nil, err
			}
			list, err := s.Engine.Explain(ctx, c, in.Who)
			return &pageOf[engine.Why]{Body: Page[engine.Why]{Items: list}}, err
		})
}
