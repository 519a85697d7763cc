package event

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
)

func TestTheJSONFormIsTheContract(t *testing.T) {
	id, connection, run := account.NewID("anna"), "hq", "r-1"
	for _, c := range []struct {
		name string
		e    Event
		want string
	}{
		{"an update", Event{ID: 7, Type: AccountUpdated, Organization: "sunfix", Connection: &connection, Run: &run, Account: &id,
			At: time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC), Actor: "sync", Before: json.RawMessage(`{"title":null}`), After: json.RawMessage(`{"title":"Lead"}`), Why: "changed in the directory"},
			`{"id":7,"type":"account.updated","organization":"sunfix","connection":"hq","run":"r-1","account":"` + id.String() + `","group":null,` +
				`"at":"2026-03-01T09:30:00Z","actor":"sync","before":{"title":null},"after":{"title":"Lead"},"why":"changed in the directory"}`},
		{"what concerns nobody in particular", Event{ID: 8, Type: RunFailed, Organization: "sunfix", Actor: "sync"},
			`{"id":8,"type":"run.failed","organization":"sunfix","connection":null,"run":null,"account":null,"group":null,` +
				`"at":"0001-01-01T00:00:00Z","actor":"sync","before":null,"after":null,"why":""}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := json.Marshal(c.e); err != nil || string(got) != c.want {
				t.Errorf("%s\nwant\n%s\n%v", got, c.want, err)
			}
		})
	}
}

// Types names every type there is, each once.
func TestAllTypesAreListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []Type
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, is := v.Type.(*ast.Ident); is && name.Name == "Type" {
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, Type(text))
		}
		return true
	})
	if !slices.Equal(declared, Types()) || len(declared) < 30 {
		t.Errorf("declared are %v\nlisted are %v", declared, Types())
	}
}
