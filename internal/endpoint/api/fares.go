package api

import (
	"context"
	"fmt"
	"time"

	"rollcall.dev/rollcall/client"
)

// fares says of a connection whose runs fail that they do, and of one in
// quarantine until when its schedule waits. A run that is carried out just now
// has not ended that.
func (s *server) fares(ctx context.Context, alias string, out *client.ConnectionState) error {
	state, err := s.Store.Health.Of(ctx, alias)
	if err != nil || state.Failures == 0 {
		return err
	}
	out.Failures, out.Health, out.Attention = state.Failures, "failing", &state.Cause
	if state.QuarantinedAt != nil && state.RetryAt != nil {
		out.Health, out.RetryAt = "quarantined", state.RetryAt
		out.Attention = sentence(fmt.Sprintf("%d runs failed one after the other; the schedule waits until %s: %s", state.Failures, state.RetryAt.Format(time.RFC3339), state.Cause))
	}
	return nil
}
