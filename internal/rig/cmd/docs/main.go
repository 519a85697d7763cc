// Command docs writes the generated parts of docs/ from the declared settings:
// the tables of keys and the JSON Schema. With -check it only tells which files
// are not up to date.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"

	"rollcall.dev/rollcall/internal/rig/reference"
	"rollcall.dev/rollcall/internal/source/all"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail where something is not up to date")
	flag.Parse()
	stale, err := reference.Update(".", all.Kinds(), *check)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case len(stale) > 0 && *check:
		fmt.Fprintf(os.Stderr, "docs: not up to date: %s; run `make docs`\n", strings.Join(stale, ", "))
		os.Exit(1)
	case len(stale) > 0:
		fmt.Println("wrote", strings.Join(stale, ", "))
	}
}
