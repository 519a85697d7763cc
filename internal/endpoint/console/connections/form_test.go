package connections

import (
	"net/url"
	"testing"

	"rollcall.dev/rollcall/internal/source/okta"
)

// A key in PEM is nothing without its lines; browsers end those as mail does.
func TestAKeyKeepsItsLines(t *testing.T) {
	f, err := newForm(okta.Kind, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	patch := f.take(url.Values{"backend.okta.key": {"-----BEGIN PRIVATE KEY-----\r\nMIIE\r\n-----END PRIVATE KEY-----\r\n"}, "backend.okta.token": {" with blanks "}})
	backend, _ := patch["backend"].(map[string]any)
	settings, _ := backend["okta"].(map[string]any)
	if settings["key"] != "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----" || settings["token"] != " with blanks " {
		t.Errorf("%#v", patch)
	}
}
