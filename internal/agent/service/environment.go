package service

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/fault"
)

// Variable is a line of the environment file.
type Variable struct{ Name, Value string }

// mostEnvironment is how large the file may be.
const mostEnvironment = 64 << 10

// environment reads a file of lines NAME=value as systemd does: comments begin with # or ;,
// quotes around a value go, and where a name stands twice the last one counts. A
// backslash is itself, as paths have it. Editors of Windows write UTF-16 and marks of
// byte order as well. Errors name the line and not what is in it.
func environment(text []byte) ([]Variable, error) {
	if len(text) > mostEnvironment {
		return nil, fault.New(fault.Invalid, "it is larger than %d bytes", mostEnvironment)
	}
	plain, err := decoded(text)
	if err != nil {
		return nil, err
	}
	var out []Variable
	lines := bufio.NewScanner(strings.NewReader(plain))
	lines.Buffer(nil, 2*mostEnvironment)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if comment(line) {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || !variable(name) || strings.ContainsRune(value, 0) {
			return nil, fault.New(fault.Invalid, "line %d is not NAME=value", n)
		}
		value = strings.TrimSpace(value)
		if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			value = value[1 : len(value)-1]
		}
		out = slices.DeleteFunc(out, func(v Variable) bool { return strings.EqualFold(v.Name, name) }) // Windows knows no case here
		out = append(out, Variable{name, value})
	}
	return out, lines.Err()
}

func comment(line string) bool { return line == "" || line[0] == '#' || line[0] == ';' }

func variable(name string) bool {
	for i, c := range []byte(name) {
		if c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// decoded is a text file of Windows: UTF-8, or UTF-16 where a mark says so.
func decoded(text []byte) (string, error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte{0xFF, 0xFE}):
		order = binary.LittleEndian
	case bytes.HasPrefix(text, []byte{0xFE, 0xFF}):
		order = binary.BigEndian
	default:
		text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))
		if !utf8.Valid(text) {
			return "", fault.New(fault.Invalid, "it is not UTF-8").WithHint("save it as UTF-8")
		}
		return string(text), nil
	}
	text = text[2:]
	units := make([]uint16, len(text)/2)
	for i := range units {
		units[i] = order.Uint16(text[2*i:])
	}
	return string(utf16.Decode(units)), nil
}

// head begins an environment file that was not there before.
const head = `# Environment of the Windows service rollcall-agent. Administrators, the system and the
# service alone may read this file. Where a name stands twice, the last one counts.
# Also: AD_CONNECT_CONFIG (the agent's own file; adc.yaml in this folder is taken if it is
# there), AD_CONNECT_CA, HTTPS_PROXY, NO_PROXY. A change counts from the next start on.
`

// with gives the environment file with variables set, and everything else as it was.
func with(text []byte, set []Variable) ([]byte, error) {
	if _, err := environment(text); err != nil {
		return nil, err
	}
	plain, err := decoded(text)
	if err != nil {
		return nil, err
	}
	if plain == "" {
		plain = head
	}
	var out strings.Builder
	for line := range strings.Lines(plain) {
		line = strings.TrimRight(line, "\r\n")
		name, _, _ := strings.Cut(strings.TrimSpace(line), "=")
		if comment(strings.TrimSpace(line)) || !slices.ContainsFunc(set, func(v Variable) bool { return strings.EqualFold(v.Name, name) }) {
			out.WriteString(line + "\r\n")
		}
	}
	for _, v := range set {
		if strings.ContainsFunc(v.Value, func(c rune) bool { return c < ' ' }) {
			return nil, fault.New(fault.Invalid, "%s: a line break or another control character is in it", v.Name)
		}
		fmt.Fprintf(&out, "%s=%s\r\n", v.Name, v.Value)
	}
	return []byte(out.String()), nil
}
