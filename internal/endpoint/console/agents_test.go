package console_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/agents"
)

// What the agents of a connection say stands beside what it says itself, with what
// holds; where none of them was ever connected, there is nothing to compare.
func TestAConnectionsPageShowsBothPoliciesAndTheOneInEffect(t *testing.T) {
	w := open(t)
	const words = "no agent loosens anything"
	text := w.ask("operator", "GET", "/connections/sun-hq", nil, false).Body.String()
	if !strings.Contains(text, "sunfix-dc1") || strings.Contains(text, words) {
		t.Errorf("before it connected: %s", firstWords(text))
	}
	w.must(w.app.Store.AgentTable.Report(t.Context(), w.ids["agent"], agents.Presence{Node: "n1", Address: "192.0.2.7", Version: "1.4.0", Latency: 23 * time.Millisecond, Problem: "the directory is <away>"}, "ldap",
		&setting.Policy{NoDelete: true}))
	text = w.ask("auditor of sun", "GET", "/connections/sun-hq", nil, false).Body.String()
	row := `<tr><td>no-delete<td data-label="Here"><span class="soft">off</span><td data-label="Agents">on<span class="sub">sunfix-dc1</span><td data-label="In effect"><b>on</b></tr>`
	for _, want := range []string{words, row, "the directory is &lt;away&gt;", `<tr><td>no-update-provider-mismatch<td data-label="Here">on<td data-label="Agents"><span class="soft">off</span><td data-label="In effect"><b>on</b></tr>`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	if strings.Contains(text, "/new-agent") {
		t.Error("an auditor is offered to make an agent")
	}
	for _, path := range []string{"/agents", "/agents/{agent}"} {
		text = w.ask("auditor of sun", "GET", path, nil, false).Body.String()
		for _, want := range []string{"1.4.0", "192.0.2.7", "23 ms", "failing", "the directory is &lt;away&gt;"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s has no %s", path, want)
			}
		}
	}
}

// A secret stands on one page, and the lines to type below it do not have it.
func TestAnAgentsSecretIsShownOnce(t *testing.T) {
	w := open(t)
	got := w.ask("manager of sun", "POST", "/new-agent", url.Values{"name": {"dc2"}, "connection": {"sun-hq"}}, true)
	text := got.Body.String()
	_, after, _ := strings.Cut(text, ":rcg_")
	if got.Code != 200 || len(after) < 43 || got.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", got.Code, got.Header(), firstWords(text))
	}
	if n := strings.Count(text, after[:43]); n != 2 { // what is read and what is copied
		t.Errorf("the secret stands on the page %d times", n)
	}
	const windows = `.\rollcall.exe agent service install --addr &#39;`
	if !strings.Contains(text, windows) || strings.Contains(text, "Read-Host") {
		t.Error("the line for Windows does not install the service, or has the secret typed for all to see")
	}
	for what, form := range map[string]url.Values{"a name that is taken": {"name": {"dc2"}, "connection": {"sun-hq"}}, "another one's connection": {"name": {"dc3"}, "connection": {"moon-hq"}}, "no name": {"connection": {"sun-hq"}}} {
		if got := w.ask("manager of sun", "POST", "/new-agent", form, true); got.Code < 400 || strings.Contains(got.Body.String(), "rcg_") {
			t.Errorf("%s: %d %s", what, got.Code, firstWords(got.Body.String()))
		}
	}
	for _, path := range []string{"/agents", "/agents/{agent}", "/connections/sun-hq", "/events"} {
		if text := w.ask("operator", "GET", path, nil, false).Body.String(); strings.Contains(text, "rcg_") {
			t.Errorf("%s has a secret", path)
		}
	}
}
