package config

import (
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

func TestInputsAreWhatTheFileTakes(t *testing.T) {
	kind := source.Kind{Name: "x", Options: []setting.Option{{Name: "tls.name", Label: "Name", Type: setting.List, Secret: true}}}
	at := map[string]Input{}
	for _, i := range Inputs(kind) {
		if i.Label == "" || i.Help == "" && !strings.HasPrefix(i.Path, "backend.") || i.Type == "" {
			t.Errorf("%+v", i)
		}
		at[i.Path] = i
	}
	if i := at["limits.removals_min"]; i.Label != "Removals min" || i.Default == "" {
		t.Errorf("%+v", i)
	}
	if i := at["settings.delete-disables"]; !i.Bool() || i.Default != "true" {
		t.Errorf("%+v", i)
	}
	if i := at["backend.x.tls.name"]; !i.List() || !i.Secret {
		t.Errorf("%+v", i)
	}
	if i := at["overlap"]; len(i.Choices) != 3 {
		t.Errorf("%+v", i)
	}
	if _, there := at["mapping"]; there {
		t.Error("mapping is no single value")
	}
}
