package scim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// scenario is a file of requests, one after the other, and what has to come of each.
type scenario struct {
	Name   string `json:"name"`
	Source string `json:"source"`
	Steps  []step `json:"steps"`
}

type step struct {
	Note    string            `json:"note"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
	Expect  struct {
		Status       []int             `json:"status"`
		JSON         []check           `json:"json"`
		Headers      map[string]string `json:"headers"`
		TextContains []string          `json:"textContains"`
		TextLacks    []string          `json:"textLacks"`
	} `json:"expect"`
	Save map[string]string `json:"save"`
}

// check is what a value of an answer has to be: exactly one of the rest is given.
type check struct {
	Path   string          `json:"path"`
	Equals json.RawMessage `json:"equals"`
	Absent bool            `json:"absent"` // or null, "" or empty
	Given  bool            `json:"given"`
	Length *int            `json:"length"`
}

func load(t *testing.T, name string) scenario {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var s scenario
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&struct {
		*scenario
		Client string `json:"client"`
	}{scenario: &s}); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// part takes one step down a path: name, name[2], name[type=work].
var part = regexp.MustCompile(`^([^\[]*)(?:\[([^\]]*)\])?$`)

// pick follows a path, in which a URN is one name: "urn:…:User.department", and "~"
// stands for a dot.
func pick(v any, path string) any {
	if path == "" {
		return v
	}
	var parts []string
	if i := strings.LastIndex(path, "2.0:"); strings.HasPrefix(path, "urn:") && i >= 0 {
		urn, rest, more := strings.Cut(path[i+4:], ".")
		parts = []string{path[:i+4] + urn}
		if more {
			parts = append(parts, strings.Split(rest, ".")...)
		}
	} else {
		parts = strings.Split(path, ".")
	}
	for _, p := range parts {
		m := part.FindStringSubmatch(p)
		o, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = o[strings.ReplaceAll(m[1], "~", ".")]
		if m[2] == "" {
			continue
		}
		list, _ := v.([]any)
		v = nil
		if at, err := strconv.Atoi(m[2]); err == nil {
			if at < len(list) {
				v = list[at]
			}
			continue
		}
		name, want, _ := strings.Cut(m[2], "=")
		for _, one := range list {
			if o, ok := one.(map[string]any); ok && fmt.Sprint(o[name]) == want {
				v = one
				break
			}
		}
	}
	return v
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func (c check) holds(v any) bool {
	got := pick(v, c.Path)
	switch {
	case c.Absent:
		return empty(got)
	case c.Given:
		return !empty(got)
	case c.Length != nil:
		list, _ := got.([]any)
		return len(list) == *c.Length
	}
	var want any
	return json.Unmarshal(c.Equals, &want) == nil && reflect.DeepEqual(got, want)
}

// play runs a scenario and gives how many of its checks held, of how many.
func (w *world) play(t *testing.T, s scenario) (held, all int) {
	t.Helper()
	vars := map[string]string{"base": w.base("push")}
	fill := func(text string) string {
		for name, value := range vars {
			text = strings.ReplaceAll(text, "{{"+name+"}}", value)
		}
		return text
	}
	for i, st := range s.Steps {
		vars["uuid"] = fmt.Sprintf("3f2504e0-4f89-11d3-9a0c-%012d", i)
		bad := func(format string, args ...any) {
			t.Errorf("%s: step %d, %s (%s %s): %s", s.Name, i+1, st.Note, st.Method, fill(st.Path), fmt.Sprintf(format, args...))
		}
		body := fill(string(st.Body))
		if raw := ""; json.Unmarshal([]byte(body), &raw) == nil {
			body = strings.TrimPrefix(raw, "@raw:")
		}
		status, header, text := w.ask(t, st.Method, escaped(fill(st.Path)), body, st.Headers)
		var answer any
		_ = json.Unmarshal([]byte(text), &answer) //nolint:errcheck // some have none
		count := func(ok bool, format string, args ...any) {
			all++
			if ok {
				held++
				return
			}
			bad(format, args...)
		}
		if len(st.Expect.Status) > 0 {
			count(slices.Contains(st.Expect.Status, status), "status %d, wanted %v: %.300s", status, st.Expect.Status, text)
		}
		for _, c := range st.Expect.JSON {
			if len(c.Equals) > 0 {
				c.Equals = json.RawMessage(fill(string(c.Equals)))
			}
			c.Path = fill(c.Path)
			count(c.holds(answer), "%s is %v, wanted %s absent=%v given=%v length=%v: %.600s", c.Path, pick(answer, c.Path), c.Equals, c.Absent, c.Given, c.Length, text)
		}
		for name, want := range st.Expect.Headers {
			count(strings.Contains(header.Get(name), fill(want)), "header %s is %q, wanted %q", name, header.Get(name), fill(want))
		}
		for _, want := range st.Expect.TextContains {
			count(strings.Contains(text, fill(want)), "the answer does not hold %q: %.300s", fill(want), text)
		}
		for _, not := range st.Expect.TextLacks {
			count(!strings.Contains(text, fill(not)), "the answer holds %q", fill(not))
		}
		for name, path := range st.Save {
			if v := pick(answer, path); v != nil {
				vars[name] = fmt.Sprint(v)
			} else if name != "" {
				vars[name] = header.Get(path)
			}
		}
	}
	return held, all
}

func escaped(path string) string {
	return strings.NewReplacer(" ", "%20", `"`, "%22", "[", "%5B", "]", "%5D").Replace(path)
}

// ask makes one request, below the base of the connection "push".
func (w *world) ask(t testing.TB, method, path, body string, headers map[string]string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.base("push")+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/scim+json")
	}
	for name, value := range headers {
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read to its end
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(text)
}

// Microsoft's own collection, at d445ef9 of AzureAD/SCIMReferenceCode (MIT licence, ©
// Microsoft), its assertions restated as data.
func TestMicrosoftsCollectionPassesInFull(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		held, all := w.play(t, load(t, "testdata/microsoft-collection.json"))
		if held != all || all < 107 {
			t.Errorf("%d of %d checks held", held, all)
		}
	})
}

func TestClientsAreUnderstoodAsTheyTalk(t *testing.T) {
	files, err := filepath.Glob("testdata/replay/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	both(t, func(t *testing.T, w *world) {
		for _, name := range files {
			s := load(t, name)
			t.Run(s.Name, func(t *testing.T) {
				w.clear(t)
				w.play(t, s)
			})
		}
	})
}
