package signin

import (
	"context"
	"log/slog"
	"time"

	"rollcall.dev/rollcall/internal/seal"
	"rollcall.dev/rollcall/internal/setting"
)

func withDefaults(o Options) Options {
	if o.Settings == nil {
		o.Settings = setting.DefaultSignIn
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.Verify == nil {
		o.Verify = seal.VerifyPassword
	}
	if o.Hash == nil {
		o.Hash = seal.HashPassword
	}
	return o
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
