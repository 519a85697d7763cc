package samba

import (
	"context"
	"testing"

	"rollcall.dev/rollcall/internal/rig/host/hosttest"
)

func TestADomainController(t *testing.T) {
	hosttest.Run(t, func(ctx context.Context, dir string) (*hosttest.Started, error) {
		s, err := Start(ctx, Options{Dir: dir})
		if err != nil {
			return nil, err
		}
		return &hosttest.Started{Server: s, Access: s.Access, Dir: s.Dir, Pid: func() int { return s.Pid }}, nil
	})
}
