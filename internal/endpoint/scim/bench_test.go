package scim_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"rollcall.dev/rollcall/internal/rig/databases"
)

// The figures that count are those of `make bench`, whole requests beside a peer's;
// these are for a profiler.
func BenchmarkRequests(b *testing.B) {
	w := open(b, databases.SQLite(b))
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(b.Context(), method, "/scim/v2/push"+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+w.token)
		rec := httptest.NewRecorder()
		w.endpoint.ServeHTTP(rec, r)
		if rec.Code/100 != 2 {
			b.Errorf("%s %s: %d %s", method, path, rec.Code, rec.Body)
		}
		return rec
	}
	user := func(i int64) string {
		return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"u%[1]d@x.example","externalId":"x%[1]d","active":true,"displayName":"Person %[1]d","name":{"givenName":"Person","familyName":"N%[1]d"},"title":"Engineer",
			"emails":[{"value":"u%[1]d@x.example","type":"work","primary":true}],"phoneNumbers":[{"value":"+32 2 555","type":"work"}],"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Labs"}}`, i)
	}
	var n atomic.Int64
	var ids []string
	for range 1000 {
		var r struct{ ID string }
		if err := json.Unmarshal(ask("POST", "/Users", user(n.Add(1))).Body.Bytes(), &r); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, r.ID)
	}
	for name, do := range map[string]func(i int64){
		"create": func(i int64) { ask("POST", "/Users", user(i)) },
		"filter": func(i int64) {
			ask("GET", "/Users?filter="+url.QueryEscape(fmt.Sprintf(`userName eq "u%d@x.example"`, i%1000+1)), "")
		},
		"patch": func(i int64) {
			ask("PATCH", "/Users/"+ids[i%1000], fmt.Sprintf(`{"Operations":[{"op":"replace","path":"title","value":"t%d"}]}`, i))
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					do(n.Add(1))
				}
			})
		})
	}
}
