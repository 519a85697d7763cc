package registry_test

import (
	"testing"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/registry"
)

// An organization that claimed another's e-mail domain would be sent its people's
// passwords.
func TestOnlyOperatorsClaimDomains(t *testing.T) {
	both(t, func(t *testing.T, h *registry.Registry) {
		own := registry.Who{Organization: "sunfix", Actor: "apikey:sunfix"}
		_, err := h.Create(t.Context(), own, []byte(`{"alias": "sun-x", "organization": "sunfix", "sign_in": {"domains": ["moonfix.example"]}, "backend": {"csv": {"upload": true}}}`))
		if fault.KindOf(err) != fault.Denied {
			t.Errorf("made: %v", err)
		}
		if _, err := h.Create(t.Context(), registry.Who{Actor: "operator"}, []byte(`{"alias": "sun-x", "organization": "sunfix", "sign_in": {"domains": ["sunfix.example"]}, "backend": {"csv": {"upload": true}}}`)); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Update(t.Context(), own, "sun-x", []byte(`{"sign_in": {"domains": ["sunfix.example", "moonfix.example"]}}`), 0); fault.KindOf(err) != fault.Denied {
			t.Errorf("changed: %v", err)
		}
		if _, err := h.Update(t.Context(), own, "sun-x", []byte(`{"role": "guest"}`), 0); err != nil {
			t.Errorf("what an operator set stands in the way: %v", err)
		}
		if _, err := h.Update(t.Context(), own, "sun-x", []byte(`{"sign_in": {"domains": []}}`), 0); err != nil {
			t.Errorf("given up: %v", err)
		}
	})
}
