package tree

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Load reads entries and changes in LDIF (RFC 2849) and carries them out in
// their order. Values by URL are refused: a file names no other files.
func (t *Tree) Load(r io.Reader) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, 64<<20)
	var lines []string
	at, from := 0, 1
	flush := func() error {
		if len(lines) > 0 {
			if err := t.record(lines); err != nil {
				return fmt.Errorf("LDIF, record at line %d: %w", from, err)
			}
		}
		lines, from = nil, at+1
		return nil
	}
	for in.Scan() {
		at++
		line := strings.TrimSuffix(in.Text(), "\r")
		switch {
		case line == "":
			if err := flush(); err != nil {
				return err
			}
		case line[0] == '#':
		case line[0] == ' ' && len(lines) > 0:
			lines[len(lines)-1] += line[1:]
		case len(lines) == 0 && strings.HasPrefix(strings.ToLower(line), "version:"):
		default:
			lines = append(lines, line)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("LDIF, line %d: %w", at+1, err)
	}
	return flush()
}

// pair reads one line.
func pair(line string) (name, value string, err error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return "", "", fmt.Errorf("%q is not name: value", line)
	}
	switch {
	case strings.HasPrefix(value, ":"):
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value[1:]))
		if err != nil {
			return "", "", fmt.Errorf("the value of %s is not base64", name)
		}
		return name, string(b), nil
	case strings.HasPrefix(value, "<"):
		return "", "", fmt.Errorf("the value of %s is an address", name)
	}
	return name, strings.TrimLeft(value, " "), nil
}

type ldifPair struct{ name, value string }

func (t *Tree) record(lines []string) error {
	var pairs []ldifPair
	var steps []int // lines "-"
	for _, l := range lines {
		if l == "-" {
			steps = append(steps, len(pairs))
			continue
		}
		name, value, err := pair(l)
		if err != nil {
			return err
		}
		pairs = append(pairs, ldifPair{name, value})
	}
	if len(pairs) == 0 || !strings.EqualFold(pairs[0].name, "dn") {
		return fmt.Errorf("the first line is not dn: …")
	}
	dn, rest := pairs[0].value, pairs[1:]
	kind := "add"
	if len(rest) > 0 && strings.EqualFold(rest[0].name, "changetype") {
		kind, rest = strings.ToLower(rest[0].value), rest[1:]
		for i := range steps {
			steps[i]--
		}
	}
	switch kind {
	case "add":
		var flat []string
		for _, p := range rest {
			flat = append(flat, p.name, p.value)
		}
		_, err := t.Add(dn, flat...)
		return err
	case "delete":
		return t.Delete(dn)
	case "modrdn", "moddn":
		return t.ldifRename(dn, rest)
	case "modify":
		for i := range steps {
			steps[i]-- // the dn
		}
		return t.ldifModify(dn, rest, steps)
	}
	return fmt.Errorf("the changetype %q is unknown", kind)
}

func (t *Tree) ldifRename(dn string, pairs []ldifPair) error {
	var rdn string
	var above *string
	keep := false
	for _, p := range pairs {
		switch strings.ToLower(p.name) {
		case "newrdn":
			rdn = p.value
		case "deleteoldrdn":
			keep = p.value == "0"
		case "newsuperior":
			above = &p.value
		}
	}
	return t.Rename(dn, rdn, !keep, above)
}

func (t *Tree) ldifModify(dn string, pairs []ldifPair, steps []int) error {
	var mods []Mod
	from := 0
	if n := len(pairs); len(steps) == 0 || steps[len(steps)-1] != n {
		steps = append(slices.Clone(steps), n) // the last "-" may be left out
	}
	for _, to := range steps {
		if to <= from || to > len(pairs) {
			return fmt.Errorf("a change of nothing")
		}
		op, ok := map[string]Op{"add": AddValues, "delete": DeleteValues, "replace": ReplaceValues, "increment": Increment}[strings.ToLower(pairs[from].name)]
		if !ok {
			return fmt.Errorf("%q is not add, delete, replace or increment", pairs[from].name)
		}
		m := Mod{Op: op, Name: pairs[from].value}
		for _, p := range pairs[from+1 : to] {
			if !strings.EqualFold(p.name, m.Name) {
				return fmt.Errorf("%q stands among the values of %q", p.name, m.Name)
			}
			m.Values = append(m.Values, p.value)
		}
		mods = append(mods, m)
		from = to
	}
	return t.Modify(dn, mods...)
}
