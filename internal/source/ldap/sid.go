package ldap

import (
	"encoding/binary"
	"strconv"
	"strings"
)

// textOf gives what turns the values of a binary attribute of Active Directory
// into their usual text; nil where they are text.
func textOf(attribute string) func(string) string {
	switch strings.ToLower(attribute) {
	case "objectsid", "sidhistory":
		return sidText
	case "objectguid":
		return guidText
	}
	return nil
}

// texts makes values of their own: the raw ones are looked at elsewhere too.
func texts(values []string, text func(string) string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = text(v)
	}
	return out
}

func guidText(v string) string {
	if len(v) != 16 {
		return v
	}
	return guid(v)
}

// sidText prints a SID as S-1-5-21-…-513 (MS-DTYP 2.4.2); what is none stays as it is.
func sidText(v string) string {
	if !isSID(v) {
		return v
	}
	b := []byte(v)
	authority := binary.BigEndian.Uint64(append(make([]byte, 2, 8), b[2:8]...))
	out := strconv.AppendUint([]byte("S-1-"), authority, 10)
	for at := 8; at < len(b); at += 4 {
		out = append(out, '-')
		out = strconv.AppendUint(out, uint64(binary.LittleEndian.Uint32(b[at:])), 10)
	}
	return string(out)
}

// isSID is true of revision, a count, six bytes of authority and as many numbers
// as the count says, 15 at most.
func isSID(v string) bool {
	return len(v) >= 8 && v[0] == 1 && v[1] <= 15 && len(v) == 8+4*int(v[1])
}

// groupSID is the SID of the group of a person's domain with a relative ID: the
// person's own with another last number. It is "" where the two make none.
func groupSID(person, rid string) string {
	n, err := strconv.ParseUint(rid, 10, 32)
	if err != nil || !isSID(person) || person[1] == 0 {
		return ""
	}
	return string(binary.LittleEndian.AppendUint32([]byte(person[:len(person)-4]), uint32(n)))
}

// relativeID is the last number of a group's SID, which people carry whose primary
// group it is.
func relativeID(group string) string {
	if !isSID(group) || group[1] == 0 {
		return "0" // nobody's
	}
	return strconv.FormatUint(uint64(binary.LittleEndian.Uint32([]byte(group[len(group)-4:]))), 10)
}
