package okta_test

import (
	"testing"

	rig "rollcall.dev/rollcall/internal/rig/okta"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/okta"
	"rollcall.dev/rollcall/internal/source/rest"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

func kind(c *sourcetest.Clock) source.Kind {
	return okta.KindWith(rest.Clock{Now: c.Now, Sleep: c.Sleep})
}

var (
	_ sourcetest.Vendor = (*rig.Org)(nil)
)

func TestSuite(t *testing.T) {
	for name, how := range map[string]func(*rig.Org){
		"with a client":           func(*rig.Org) {},
		"with a client and proof": func(o *rig.Org) { o.DPoP = true },
		"with a token":            func(o *rig.Org) { o.SSWS = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			org := &rig.Org{}
			how(org)
			permission := "the scope okta."
			if org.SSWS {
				permission = "Read-Only Administrator"
			}
			sourcetest.Run(t, sourcetest.Suite{
				Kind: kind,
				Start: func(t testing.TB, c *sourcetest.Clock) sourcetest.Vendor {
					o := rig.Start(t, c.Now)
					how(o)
					return o
				},
				Login: "login", Group: "name", Permission: permission,
			})
		})
	}
}
