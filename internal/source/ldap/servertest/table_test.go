package servertest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall.dev/rollcall/internal/rig/servers"
)

// table is what was seen: a row for a check, a column for a server.
type table struct {
	mu    sync.Mutex
	rows  []string
	cells map[[2]string]string
}

// columns are the servers as the table names them.
var columns = []struct{ vendor, title string }{
	{servers.ActiveDirectory, "Active Directory (Samba)"},
	{servers.OpenLDAP, "OpenLDAP"},
	{servers.DirectoryServer, "389 Directory Server"},
	{servers.ApacheDS, "Apache Directory"},
}

// row declares a row, in the order of the table.
func (b *table) row(name string) {
	if !slices.Contains(b.rows, name) {
		b.rows = append(b.rows, name)
	}
}

func (b *table) put(row, vendor, cell string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cells == nil {
		b.cells = map[[2]string]string{}
	}
	b.cells[[2]string{row, vendor}] = cell
}

func (b *table) complete() bool { return len(b.cells) == len(b.rows)*len(columns) }

func (b *table) String() string {
	var out strings.Builder
	out.WriteString("| |")
	for _, c := range columns {
		fmt.Fprintf(&out, " %s |", c.title)
	}
	out.WriteString("\n|---" + strings.Repeat("|---", len(columns)) + "|\n")
	for _, row := range b.rows {
		fmt.Fprintf(&out, "| %s |", row)
		for _, c := range columns {
			fmt.Fprintf(&out, " %s |", b.cells[[2]string{row, c.vendor}])
		}
		out.WriteString("\n")
	}
	return out.String()
}

const page = "../../../../docs/sources/ldap.md"

// pageMu is held while the page is read and written.
var pageMu sync.Mutex

// compare holds the table against the one in the documentation, or writes it there.
func (b *table) compare(t *testing.T, name string) {
	pageMu.Lock()
	defer pageMu.Unlock()
	from, to := "<!-- seen by the tests: "+name+" -->\n", "<!-- end of what was seen: "+name+" -->"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), from)
	have, after, ok2 := strings.Cut(rest, to)
	if !ok1 || !ok2 {
		t.Fatalf("docs/sources/ldap.md has no place for the table, between %q and %q", from, to)
	}
	want := "\n" + b.String() + "\n"
	if have == want {
		return
	}
	if *update {
		if err := os.WriteFile(page, []byte(before+from+want+to+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("docs/sources/ldap.md says\n%s\nand seen was (go test ./internal/source/ldap/servertest -update writes it)\n%s", have, want)
}
