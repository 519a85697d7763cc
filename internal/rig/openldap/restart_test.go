package openldap

import (
	"context"
	"testing"

	"rollcall.dev/rollcall/internal/rig/host"
	"rollcall.dev/rollcall/internal/rig/host/hosttest"
)

func TestItIsHaltedAndResetAsTheOtherServersAre(t *testing.T) {
	hosttest.Run(t, func(ctx context.Context, dir string) (*hosttest.Started, error) {
		s, err := Start(ctx, Options{Dir: dir, MemberOf: true, RefInt: true})
		if err != nil {
			return nil, err
		}
		return &hosttest.Started{Server: s, Dir: s.Dir, Pid: func() int { return s.Pid }, Access: host.Access{URL: s.URL, TLSURL: s.TLSURL, CAFile: s.CAFile, Base: s.Suffix,
			AdminDN: s.AdminDN, AdminPassword: s.AdminPassword, ReaderDN: s.ReaderDN, ReaderPassword: s.ReaderPassword}}, nil
	})
}
