package account

import "strings"

// Columns are those of a table of accounts, for spreadsheets: no lists, no
// custom attributes.
func Columns() []string {
	return append([]string{"id", "organization", "connection", "external_id", "status", "manager"}, FieldNames()...)
}

// Cells are an account's values under Columns, safe for spreadsheets.
func (a *Account) Cells() []string {
	row := []string{a.ID.String(), a.Organization, a.Connection, FormulaSafe(a.ExternalID), string(a.Status), a.Manager.String()}
	for _, v := range a.Text {
		row = append(row, FormulaSafe(v))
	}
	return row
}

// FormulaSafe keeps a spreadsheet from taking a name for a formula (OWASP, CSV
// injection). A phone number in E.164 keeps its plus.
func FormulaSafe(s string) string {
	if s == "" {
		return s
	}
	switch s[0] {
	case '=', '@', '\t', '\r':
		return "'" + s
	case '+', '-':
		for _, c := range s[1:] {
			if c < '0' || c > '9' {
				return "'" + s
			}
		}
	}
	return s
}

// Separator gives what stands between the columns of a table, as spreadsheets of
// different countries write it: the comma, semicolon or tab that its first line has most
// often outside of quotes, a comma where it has none.
func Separator(table string) rune {
	counts := map[rune]int{}
	quoted := false
scan:
	for _, c := range strings.TrimLeft(table, "\r\n") {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\n':
			break scan
		case c == ',' || c == ';' || c == '\t':
			counts[c]++
		}
	}
	best := ','
	for _, c := range []rune{';', '\t'} {
		if counts[c] > counts[best] {
			best = c
		}
	}
	return best
}
