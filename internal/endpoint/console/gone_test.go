package console_test

import (
	"net/http"
	"strings"
	"testing"
)

// Accounts, runs and events go on naming a connection that was taken away.
func TestAConnectionThatIsGoneSaysWhatIsLeft(t *testing.T) {
	w := open(t)
	w.call("DELETE", "/connections/sun-push", "")
	got := w.ask("operator", "GET", "/connections/sun-push", nil, false)
	if text := got.Body.String(); got.Code != http.StatusOK || !strings.Contains(text, "was taken away") || !strings.Contains(text, "/events?connection=sun-push") {
		t.Errorf("%d: %s", got.Code, firstWords(text))
	}
	for who, path := range map[string]string{"manager of moon": "/connections/sun-push", "operator": "/connections/never-was", "stranger": "/connections/sun-push"} {
		if got := w.ask(who, "GET", path, nil, false); got.Code == http.StatusOK {
			t.Errorf("%s is shown %s", who, path)
		}
	}
}
