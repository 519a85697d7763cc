package api_test

import (
	"net/http"
	"testing"

	"rollcall.dev/rollcall/client"
)

func TestAFirstDay(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		made := want[client.Run](w, http.StatusOK, w.ask("operator", "POST", "/connections/sun-hq/sync?wait=true", nil))
		if made.State != "applied" || made.Summary.Create != 3 {
			t.Fatalf("%+v", made)
		}
		people := get[list[client.Account]](w, "organization:sun", "/accounts?limit=2")
		if len(people.Items) != 2 || people.NextCursor == nil {
			t.Fatalf("%+v", people)
		}
		rest := get[list[client.Account]](w, "organization:sun", "/accounts?limit=2&cursor="+*people.NextCursor)
		if len(rest.Items) != 1 || rest.NextCursor != nil {
			t.Fatalf("%+v", rest)
		}
		if none := get[list[client.Account]](w, "organization:moon", "/accounts"); len(none.Items) != 0 {
			t.Errorf("moon sees %+v", none)
		}
		c := get[client.Connection](w, "operator", "/connections/sun-hq")
		if c.State.Health != "ok" || !c.Declared || c.State.People != 3 {
			t.Errorf("%+v", c)
		}
	})
}
