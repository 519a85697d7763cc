package app

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

// serviceAccount is a key file as Google's console gives it.
func serviceAccount(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]string{"type": "service_account", "private_key_id": "k", "client_email": "r@p.iam.gserviceaccount.com",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whoever came by a set-up link gives these addresses, and reads what the check says.
func TestVendorsAddressesLeadIntoNoPrivateNetwork(t *testing.T) {
	asked := 0
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer inside.Close()
	key := serviceAccount(t)
	vendors := []struct {
		kind string
		at   []string // settings that are addresses
		rest setting.Values
	}{
		{"okta", []string{"url"}, setting.Values{"token": "00abc"}},
		{"entra", []string{"login_url", "graph_url"}, setting.Values{"tenant": "contoso.example", "client_id": "x", "client_secret": "s"}},
		{"google", []string{"url", "token_url"}, setting.Values{"key": key, "subject": "admin@example.org"}},
	}
	for _, c := range []struct {
		name, config string
		ok           map[string]bool
	}{
		{"as it comes", "", map[string]bool{
			"https://vendor.example": true, "https://8.8.8.8": true, inside.URL: false, "http://localhost": false, "https://localhost": false, "https://127.0.0.1": false, "https://[::1]": false,
			"https://10.0.0.1": false, "https://192.168.1.1": false, "https://169.254.169.254": false, "https://[::ffff:10.0.0.1]": false, "https://[fd00::1]": false, "http://vendor.example": false,
		}},
		{"a network allowed", "webhooks: {allow_private: [10.0.0.0/8]}\n", map[string]bool{"https://10.0.0.1": true, "http://10.0.0.1": true, inside.URL: false, "https://192.168.1.1": false}},
		{"anything allowed", "webhooks: {allow_private: true}\n", map[string]bool{inside.URL: true, "https://192.168.1.1": true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := open(t, c.config)
			for address, ok := range c.ok {
				for _, v := range vendors {
					for _, name := range v.at {
						set := maps.Clone(v.rest)
						set[name] = address
						conn := setting.Connection{Alias: "x", Kind: v.kind, Backend: set}
						if err := a.Engine.Validate(conn); (err == nil) != ok || err != nil && fault.KindOf(err) != fault.Invalid {
							t.Errorf("%s %s %s: %v (%s)", v.kind, name, address, err, fault.HintOf(err))
						}
					}
				}
			}
		})
	}
	if asked != 0 {
		t.Errorf("asked %d times", asked)
	}
}
