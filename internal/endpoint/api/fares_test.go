package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/health"
	"rollcall.dev/rollcall/internal/store/schedules"
)

func TestAConnectionSaysThatItFailsAndThatItIsInQuarantine(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		looks := func() client.ConnectionState {
			t.Helper()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/connections/sun-hq", nil)
			req.Header.Set("Authorization", "Bearer "+w.keys["operator"])
			res := httptest.NewRecorder()
			w.h.ServeHTTP(res, req)
			var shown struct {
				State client.ConnectionState `json:"state"`
			}
			if err := json.Unmarshal(res.Body.Bytes(), &shown); err != nil || res.Code != http.StatusOK {
				t.Fatalf("%d %s", res.Code, res.Body)
			}
			return shown.State
		}
		fails := func() {
			t.Helper()
			err := w.deps.Store.DB.Write(t.Context(), func(tx *db.Tx) error {
				_, err := health.Failed(t.Context(), tx, health.Failure{Organization: "sun", Connection: "sun-hq", Run: "r-1", Cause: "csv: no such file", At: time.Now(), Scheduled: true})
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if s := looks(); s.Health != "new" || s.NextRunAt != nil {
			t.Errorf("at first it is %s, and comes next at %v", s.Health, s.NextRunAt)
		}
		due := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		if err := w.deps.Store.Schedules.Set(t.Context(), schedules.Entry{Connection: "sun-hq", Organization: "sun", Spec: "{}", NextAt: due, DueAt: due}); err != nil {
			t.Fatal(err)
		}
		if s := looks(); s.NextRunAt == nil || !s.NextRunAt.Equal(due) {
			t.Errorf("it comes next at %v", s.NextRunAt)
		}
		fails()
		if s := looks(); s.Health != "failing" || *s.Attention != "csv: no such file" {
			t.Errorf("%s: %q", s.Health, *s.Attention)
		}
		fails()
		fails()
		if s := looks(); s.Health != "quarantined" || !strings.HasPrefix(*s.Attention, "3 runs failed one after the other; the schedule waits until ") {
			t.Errorf("%s: %q", s.Health, *s.Attention)
		}
	})
}
