package cli

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/rig/openldap"
)

// forms are the JSON forms of the product's contract. Programs are written
// against them: no key may be missing, and another one needs a line here.
var forms = map[string]struct{ must, may []string }{
	"account": {must: words(`id organization connection external_id username email first_name last_name display_name mobile_phone phone
		language title department location manager role status attributes groups created_at updated_at`)},
	"plan":    {words(`id hash connection verdict held_because summary changes`), words(`organization state run decided_by created_at notes pruned complete reverts draft`)},
	"change":  {words(`action target account external_id before after why`), words(`seq group name`)},
	"run":     {words(`id connection trigger state reading summary plan started_at finished_at error`), words(`organization actor reverts`)},
	"reading": {words(`complete full entries reason`), words(`users groups changed gone notes swept method last_full`)},
	"summary": {words(`create update link disable enable delete restore keep refused problems disputes seats_needed`),
		words(`add remove groups warnings failed out_of_scope purge identity_changes seats_change`)},
	"event": {words(`id type organization connection run account at actor before after`), words(`group why`)},
	"group": {must: words(`id organization connection external_id name status members created_at updated_at`)},
}

func words(s string) []string { return strings.Fields(s) }

type object_ = map[string]any

// conforms checks one object: its keys, and that what is absent is null.
func conforms(t *testing.T, form string, v any) object_ {
	t.Helper()
	o, ok := v.(object_)
	if !ok {
		t.Fatalf("%s: %T is no object", form, v)
	}
	f := forms[form]
	for _, k := range f.must {
		if _, ok := o[k]; !ok {
			t.Errorf("%s: the key %q is missing in %v", form, k, o)
		}
	}
	for k, v := range o {
		if !slices.Contains(f.must, k) && !slices.Contains(f.may, k) {
			t.Errorf("%s: the key %q is not in the contract", form, k)
		}
		if v == "" && k != "why" && k != "name" {
			t.Errorf("%s: %s is an empty text; absent values are null", form, k)
		}
	}
	return o
}

func TestJSONHasTheContractsForms(t *testing.T) {
	t.Parallel()
	s := rehearsal(t, openldap.Options{})
	h := atHQ(t, s, "    mapping: {badge: employeeNumber}\n")

	var made object_
	h.json(2, &made, "plan", "hq")
	conforms(t, "plan", made)
	conforms(t, "summary", made["summary"])
	targets := map[string]bool{}
	for _, c := range made["changes"].([]any) {
		change := conforms(t, "change", c)
		targets[change["target"].(string)] = true
		if change["before"] != nil {
			t.Errorf("a first plan has nothing before: %v", change)
		}
		if change["target"] == "account" {
			after := conforms(t, "account", change["after"])
			if change["account"] != after["id"] || change["external_id"] != after["external_id"] || after["connection"] != "hq" {
				t.Errorf("a change and its account: %v", change)
			}
		}
	}
	if len(targets) != 3 {
		t.Errorf("targets: %v", targets)
	}

	var run object_
	h.json(0, &run, "sync", "hq")
	conforms(t, "run", run)
	conforms(t, "reading", run["reading"])
	conforms(t, "summary", run["summary"])
	if run["error"] != nil || run["reverts"] != nil || run["state"] != "applied" || run["trigger"] != "manual" {
		t.Errorf("the run: %v", run)
	}
	var shown object_
	h.json(0, &shown, "runs", "show", "last")
	conforms(t, "run", shown)
	var runs []any
	h.json(0, &runs, "runs", "list")
	conforms(t, "run", runs[0])
	var plans []any
	h.json(0, &plans, "plans", "list", "hq")
	for _, p := range plans {
		p.(object_)["changes"] = nil // a list of plans is without its rows
		conforms(t, "plan", p)
	}

	var accounts []any
	h.json(0, &accounts, "accounts", "list")
	badges := 0
	for _, a := range accounts {
		one := conforms(t, "account", a)
		attributes, ok := one["attributes"].(object_)
		if _, list := one["groups"].([]any); !ok || !list {
			t.Errorf("attributes is an object and groups a list, here %v", one)
		}
		if attributes["badge"] != nil {
			badges++
		}
	}
	if badges != 2 {
		t.Errorf("%d accounts have a badge, want 2", badges)
	}
	var one object_
	h.json(0, &one, "accounts", "show", "fsmit")
	conforms(t, "account", one)
	if one["title"] != nil || one["manager"] != nil || one["language"] != "fr" {
		t.Errorf("absent values are null: %v", one)
	}
	var exported []any
	h.json(0, &exported, "accounts", "export", "--format", "json")
	if len(exported) != len(accounts) {
		t.Errorf("exported %d, want %d", len(exported), len(accounts))
	}
	var groups []any
	h.json(0, &groups, "groups", "list")
	conforms(t, "group", groups[0])
	var group object_
	h.json(0, &group, "groups", "show", "Verkoop, alle kanalen")
	conforms(t, "group", group["group"])
	if n := len(group["members"].([]any)); n != 10 {
		t.Errorf("%d members, want 10", n)
	}

	change(t, s, day)
	h.json(2, &made, "plan", "hq")
	for _, c := range made["changes"].([]any) {
		change := conforms(t, "change", c)
		before, _ := change["before"].(object_)
		after, _ := change["after"].(object_)
		switch {
		case change["target"] == "membership" && (change["before"] != nil || change["after"] != nil || change["group"] == nil || change["account"] == nil):
			t.Errorf("a membership: %v", change)
		case change["action"] == "update" && !slices.Equal(keysOf(before), keysOf(after)):
			t.Errorf("before and after hold the same fields: %v", change)
		}
	}
	h.run(0, "sync", "hq")
	seen := map[string]bool{}
	for line := range strings.Lines(h.run(0, "events", "tail", "--limit", "0", "-o", "json")) {
		var e object_
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		conforms(t, "event", e)
		seen[e["type"].(string)] = true
	}
	for _, want := range words("account.created account.updated account.disabled group.created membership.added membership.removed run.applied") {
		if !seen[want] {
			t.Errorf("no event %s: %v", want, seen)
		}
	}
}
