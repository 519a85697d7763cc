package setting

import (
	"reflect"
	"testing"
	"time"
)

// Every switch that is on for either is on, also one that is added one day; when
// accounts are purged is never the other's business.
func TestTheStricterOfTwoPoliciesHoldsSwitchBySwitch(t *testing.T) {
	for i := range reflect.TypeFor[Policy]().NumField() {
		name := reflect.TypeFor[Policy]().Field(i).Name
		t.Run(name, func(t *testing.T) {
			var none, one Policy
			field := reflect.ValueOf(&one).Elem().Field(i)
			if name == "PurgeAfter" {
				one.PurgeAfter = time.Hour
				if got := one.Stricter(Policy{PurgeAfter: time.Minute}); got != one {
					t.Errorf("the other's purge counts: %+v", got)
				}
				if got := none.Stricter(one); got != none {
					t.Errorf("the other makes it purge: %+v", got)
				}
				return
			}
			field.SetBool(true)
			for _, c := range []struct{ p, other, want Policy }{{one, none, one}, {none, one, one}, {one, one, one}, {none, none, none}} {
				if got := c.p.Stricter(c.other); got != c.want {
					t.Errorf("%+v and %+v are %+v", c.p, c.other, got)
				}
			}
		})
	}
}
