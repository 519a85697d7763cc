package entra

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/rig/described"
	"rollcall.dev/rollcall/internal/source"
)

// Every request of a source and every answer of the stand-in, as Microsoft's own
// description of its types has them.
func TestRequestsAndAnswersAreAsMicrosoftDescribesThem(t *testing.T) {
	w := newWorld(t, nil)
	direct := w.Base
	proxy, err := described.Start(t.Context(), described.Graph, direct)
	if err != nil {
		t.Fatal(err)
	}
	w.Base = proxy.URL // in links, and in the scope of tokens
	w.set["graph_url"] = proxy.URL
	w.attrs = []string{"givenName", "surname", "mail", "otherMails", "mobilePhone", "businessPhones", "preferredLanguage", "jobTitle", "department",
		"officeLocation", "manager", "employeeOrgData.costCenter", "onPremisesExtensionAttributes.extensionAttribute1", "identities"}
	for n := range 12 {
		w.person(n, "p0")
	}
	w.PutUser("p12", map[string]any{"userPrincipalName": "p12@contoso.example", "displayName": nil, "accountEnabled": true, "userType": nil, "businessPhones": []string{"+32 2 555 01 01", "+32 2 555 01 02"},
		"employeeOrgData": map[string]any{"costCenter": "17", "division": nil}, "onPremisesExtensionAttributes": map[string]any{"extensionAttribute1": "x"},
		"identities": []any{map[string]any{"signInType": "userPrincipalName", "issuer": "contoso.example", "issuerAssignedId": "p12@contoso.example"}}})
	w.group("g1", "Everybody", "p0", "p1", "p2", "p3", "p4", "p5", "p6", "device1")
	w.group("g2", "Nesting", "g1", "p12")
	w.read()
	if got := w.have["p12"]; !strings.Contains(got, "employeeOrgData.costCenter=17") || !strings.Contains(got, "extensionAttribute1=x") || !strings.Contains(got, "identities.issuer=contoso.example") ||
		!strings.Contains(got, "businessPhones=+32 2 555 01 01|+32 2 555 01 02") {
		t.Errorf("p12 is %s", got)
	}
	w.clock.Pass(25 * time.Hour)
	w.SoftDelete("p3")
	w.person(13, "p1")
	w.SetManager("p4", "")
	w.group("g1", "Everybody", "p0", "p1", "p13")
	w.RemoveGroup("g2")
	if r := w.read(); r.Full || !r.Swept {
		t.Errorf("%+v", r)
	}
	w.ForgetStates()
	if r := w.read(); !r.Full {
		t.Errorf("%+v", r)
	}
	w.ExpireTokens()
	w.faults.Set(2, 1, func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
		refusal := w.Throttles()[1]
		rw.Header().Set("Retry-After", refusal.Header["Retry-After"])
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(refusal.Status)
		_, _ = rw.Write([]byte(refusal.Body))
	})
	w.read()
	src := w.open()
	src.Check(t.Context(), func(s source.Step) {
		if s.Verdict == source.Fail {
			t.Errorf("%s: %s", s.Name, s.Detail)
		}
	})
	if _, err := src.Find(t.Context(), "o'neill@contoso.example"); err != nil {
		t.Error(err)
	}
	violations, err := proxy.Stop()
	if err != nil {
		t.Error(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

// The check itself has to find something.
func TestWhatMicrosoftDoesNotKnowIsFound(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"value": [{"id": "x", "accountEnabled": "true"}]}`))
	}))
	defer srv.Close()
	proxy, err := described.Start(t.Context(), described.Graph, srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"/v1.0/users?$top=1000", "/v1.0/users?$limit=1", "/v1.0/people", "/v1.0/users"} {
		res, err := http.Get(proxy.URL + ref)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	violations, err := proxy.Stop()
	text := strings.Join(violations, "\n")
	for _, want := range []string{"must be <= 999", "unknown query parameter", "no such operation", "must be boolean", "no Authorization"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not found in\n%s", want, text)
		}
	}
	if err != nil || len(violations) != 4 {
		t.Errorf("%d, %v", len(violations), err)
	}
}
