package health

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAProcessIsAliveWhateverIsAndReadyWhenAllIsWell(t *testing.T) {
	var broken error
	h := &Health{Checks: []Check{{Name: "database", Run: func(context.Context) error { return broken }}}}
	ask := func(handler http.HandlerFunc) (int, string) {
		w := httptest.NewRecorder()
		handler(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		return w.Code, w.Body.String()
	}
	for _, c := range []struct {
		name  string
		set   func()
		ready int
		words string
	}{
		{"all is well", func() {}, 200, `"database":"ok"`},
		{"the database is away", func() { broken = errors.New("postgres at 10.0.0.1: refused") }, 503, `"database":"failed"`},
		{"it is back", func() { broken = nil }, 200, `"status":"ready"`},
		{"it drains", h.Drain, 503, `"server":"draining"`},
	} {
		c.set()
		if status, body := ask(h.Ready); status != c.ready || !strings.Contains(body, c.words) || strings.Contains(body, "10.0.0.1") {
			t.Errorf("%s: ready? %d %s", c.name, status, body)
		}
		if status, body := ask(h.Live); status != 200 {
			t.Errorf("%s: alive? %d %s", c.name, status, body)
		}
	}
}
