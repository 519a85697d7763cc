package simulator

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// guidText writes an objectGUID as Windows does: the first three fields have
// their low byte first (MS-DTYP 2.3.4.2).
func guidText(u [16]byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", binary.LittleEndian.Uint32(u[0:]), binary.LittleEndian.Uint16(u[4:]), binary.LittleEndian.Uint16(u[6:]), u[8:10], u[10:16])
}

// parseGUID reads a GUID as Windows writes it, or as 32 hexadecimal digits in
// the order of its bytes.
func parseGUID(text string) (u [16]byte, ok bool) {
	var b []byte
	if n, err := fmt.Sscanf(text, "%32x", &b); len(text) == 32 && n == 1 && err == nil {
		return [16]byte(b), true
	}
	parts := strings.Split(text, "-")
	if len(parts) != 5 || len(text) != 36 {
		return u, false
	}
	if n, err := fmt.Sscanf(strings.Join(parts, ""), "%32x", &b); n != 1 || err != nil {
		return u, false
	}
	u = [16]byte(b)
	u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7] = u[3], u[2], u[1], u[0], u[5], u[4], u[7], u[6]
	return u, true
}

// sid makes an objectSid (MS-DTYP 2.4.2.2) of its sub-authorities.
func sid(parts ...uint32) string {
	b := []byte{1, byte(len(parts)), 0, 0, 0, 0, 0, 5}
	for _, p := range parts {
		b = binary.LittleEndian.AppendUint32(b, p)
	}
	return string(b)
}

// parseSID reads S-1-5-….
func parseSID(text string) (string, bool) {
	rest, ok := strings.CutPrefix(strings.ToUpper(text), "S-1-5-")
	if !ok {
		return "", false
	}
	var parts []uint32
	for p := range strings.SplitSeq(rest, "-") {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return "", false
		}
		parts = append(parts, uint32(n))
	}
	return sid(parts...), true
}

// never is what accountExpires holds where an account does not expire.
const never = "9223372036854775807"

// fileTime is a time as 100 nanoseconds since 1601 (MS-DTYP 2.3.3).
func fileTime(t time.Time) string {
	const between = 11644473600 // seconds from 1601 to 1970
	return strconv.FormatInt((t.Unix()+between)*1e7+int64(t.Nanosecond())/100, 10)
}

// unquote reads a unicodePwd: UTF-16 between quotes (MS-ADTS 3.1.1.3.1.5.1).
func unquote(value string) (string, bool) {
	if len(value)%2 != 0 {
		return "", false
	}
	units := make([]uint16, 0, len(value)/2)
	for i := 0; i < len(value); i += 2 {
		units = append(units, uint16(value[i])|uint16(value[i+1])<<8)
	}
	text := string(utf16.Decode(units))
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return "", false
	}
	return text[1 : len(text)-1], true
}
