package scim_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/rig/databases"
)

// FuzzRequests sends what nobody would: every answer is one that SCIM knows, and none
// says that the mistake is ours.
func FuzzRequests(f *testing.F) {
	w := open(f, databases.SQLite(f))
	for _, c := range [][3]string{
		{"GET", `/Users?filter=userName eq "a" and (active pr or emails[type eq "x"])&sortBy=name.givenName&count=3&startIndex=0`, ""},
		{"POST", "/Users", `{"userName":"a","emails":[{"value":"x"}]}`},
		{"PATCH", "/Users/1", `{"Operations":[{"op":"add","path":"members","value":[{"value":"x"}]}]}`},
		{"POST", "/Bulk", `{"failOnErrors":1,"Operations":[{"method":"POST","path":"/Groups","bulkId":"a","data":{"displayName":"x","members":[{"value":"bulkId:b"}]}},{"method":"POST","path":"/Groups","bulkId":"b","data":{"displayName":"y","members":[{"value":"bulkId:a"}]}}]}`},
		{"POST", "/.search", `{"filter":"id pr","cursor":"","count":-1,"attributes":["emails[type eq \"work\"]"]}`},
		{"PUT", "/Groups/x", `{"displayName":7,"members":"x"}`},
		{"GET", "/Users?cursor=AAAA.BBBB", ""},
	} {
		f.Add(c[0], c[1], []byte(c[2]))
	}
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		if method == "" || strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' }) || strings.Contains(path, "oauth") {
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://x/scim/v2/push/"+strings.TrimLeft(escaped(path), "/"), strings.NewReader(string(body)))
		if err != nil || r.URL.Host != "x" {
			return // no client can send it
		}
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Authorization", "Bearer "+w.token)
		rec := httptest.NewRecorder()
		w.endpoint.ServeHTTP(rec, r)
		if rec.Code >= 500 && rec.Code != http.StatusNotImplemented {
			t.Errorf("%s %s %q: %d %s", method, path, body, rec.Code, rec.Body)
		}
		if rec.Code < 400 {
			return
		}
		var told struct {
			Schemas        []string
			Status, Detail string
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &told); err != nil || len(told.Schemas) != 1 || told.Detail == "" {
			t.Errorf("%s %s %q: %d %s: %v", method, path, body, rec.Code, rec.Body, err)
		}
	})
}
