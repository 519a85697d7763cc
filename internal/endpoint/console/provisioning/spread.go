package provisioning

import "strings"

// spread writes JSON over lines, also where its end is missing: what the log keeps is
// cut off after so many bytes.
func spread(body string) string {
	if !strings.HasPrefix(body, "{") && !strings.HasPrefix(body, "[") {
		return body
	}
	var b strings.Builder
	depth, text := 0, false
	line := func() { b.WriteString("\n" + strings.Repeat("  ", max(0, depth))) }
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case text:
			b.WriteByte(c)
			if c == '\\' && i+1 < len(body) {
				i++
				b.WriteByte(body[i])
			}
			text = c != '"'
		case c == '"':
			text = true
			b.WriteByte(c)
		case c == '{' || c == '[':
			b.WriteByte(c)
			if i+1 < len(body) && (body[i+1] == '}' || body[i+1] == ']') {
				i++
				b.WriteByte(body[i])
				continue
			}
			depth++
			line()
		case c == '}' || c == ']':
			depth--
			line()
			b.WriteByte(c)
		case c == ',':
			b.WriteByte(c)
			line()
		case c == ':':
			b.WriteString(": ")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
