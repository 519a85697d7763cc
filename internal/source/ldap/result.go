package ldap

// result is an LDAPResult (RFC 4511, 4.1.9) with the controls that came with it.
type result struct {
	code      int
	matched   string
	text      string
	referrals []string
	controls  cursor
	paged     bool   // the server answered the paging control
	cookie    string // where the next page starts; "" after the last
}

func decodeResult(m message) (result, error) {
	r := result{controls: m.controls}
	var err error
	if r.code, err = m.op.integer(tagEnumerated); err != nil {
		return r, err
	}
	matched, err := m.op.take(tagOctetString)
	if err != nil {
		return r, err
	}
	text, err := m.op.take(tagOctetString)
	if err != nil {
		return r, err
	}
	r.matched, r.text = string(matched), string(text)
	for len(m.op) > 0 {
		tag, content, err := m.op.next()
		if err != nil {
			return r, err
		}
		for tag == 0xa3 && len(content) > 0 {
			uri, err := content.take(tagOctetString)
			if err != nil {
				return r, err
			}
			r.referrals = append(r.referrals, string(uri))
		}
	}
	value, ok, err := findControl(m.controls, oidPaging)
	if ok && err == nil {
		r.cookie, err = decodePaging(value)
		r.paged = err == nil
	}
	return r, err
}
