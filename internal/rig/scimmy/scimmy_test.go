package scimmy_test

import (
	"io"
	"net/http"
	"testing"

	"rollcall.dev/rollcall/internal/rig/scimmy"
)

func TestItAnswers(t *testing.T) {
	s, err := scimmy.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/Users", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.Token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("%d %s %v", res.StatusCode, text, err)
	}
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
