package apply_test

import (
	"context"
	"errors"
	"testing"

	"rollcall.dev/rollcall/internal/engine/apply"
)

// cutting is stopped while a chunk is fetched.
type cutting struct {
	apply.Chunks
	stop func()
}

func (c cutting) Chunk(ctx context.Context, _, _ string, _ int) ([]byte, error) {
	c.stop()
	return nil, ctx.Err()
}

func TestWhoIsStoppedWhileAChunkIsFetchedEnds(t *testing.T) {
	for range 100 { // which of two things that are ready is taken is chance
		ctx, stop := context.WithCancel(t.Context())
		_, err := apply.Run(ctx, apply.Batch{}, &apply.Stored{Chunks: 1}, cutting{stop: stop}, nil, nil)
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}
