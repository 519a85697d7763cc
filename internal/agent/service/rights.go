package service

import (
	"crypto/sha1" //nolint:gosec // Windows makes names of services into numbers so; nothing is secured by it
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// identity is the number by which Windows knows a service in lists of who may do what.
// It comes from the name alone, so it is known before there is such a service.
func identity(name string) string {
	var text []byte
	for _, unit := range utf16.Encode([]rune(strings.ToUpper(name))) {
		text = binary.LittleEndian.AppendUint16(text, unit)
	}
	sum := sha1.Sum(text) //nolint:gosec // as above
	out := "S-1-5-80"
	for i := 0; i < len(sum); i += 4 {
		out += fmt.Sprint("-", binary.LittleEndian.Uint32(sum[i:]))
	}
	return out
}

// What the service may do with the folder of settings and with the file in it: read.
// Administrators and the system may do everything, others nothing, whatever the
// folder above says.
var (
	folderRights = "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FRFX;;;" + identity(Name) + ")"
	fileRights   = "O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FR;;;" + identity(Name) + ")"
)

// commandLine is what the manager runs. Whoever may use the machine can read it, so
// there is no secret in it; quoted, so that nobody's C:\Program.exe runs in its place.
func commandLine(program string) string {
	return quoted(program) + " agent run"
}

// quoted is a word as programs of Windows take a line of them apart: backslashes are
// themselves but before a quote, where two are one.
func quoted(word string) string {
	var out strings.Builder
	out.WriteByte('"')
	slashes := 0
	for i := range len(word) {
		switch word[i] {
		case '\\':
			slashes++
		case '"':
			out.WriteString(strings.Repeat(`\`, slashes+1))
			slashes = 0
		default:
			slashes = 0
		}
		out.WriteByte(word[i])
	}
	out.WriteString(strings.Repeat(`\`, slashes) + `"`)
	return out.String()
}
