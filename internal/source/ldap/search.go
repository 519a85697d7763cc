package ldap

// Scopes of a search (RFC 4511, 4.5.1.2).
const (
	scopeBase = 0
	scopeOne  = 1
	scopeSub  = 2
)

// query is one search request. Time limits are left to the server: the reading
// is bounded by progress alone.
type query struct {
	base       string
	scope      int
	filter     []byte // as compileFilter made it
	attributes []string
	sizeLimit  int // 0: as many as the server gives
	pageSize   int // 0: not paged
	cookie     string
}

// ask sends a search and hands on what comes: each entry's operation content
// and each reference's URIs. It returns the final result, whatever its code; an
// error means that there was none. An error of entry is returned as it is.
func (c *conn) ask(q *query, entry func(op cursor) error, reference func(uris []string)) (result, error) {
	w := c.begin()
	w.begin(opSearch)
	w.string(tagOctetString, q.base)
	w.integer(tagEnumerated, q.scope)
	w.integer(tagEnumerated, 0) // aliases are not followed
	w.integer(tagInteger, q.sizeLimit)
	w.integer(tagInteger, 0)
	w.boolean(tagBoolean, false)
	w.b = append(w.b, q.filter...)
	w.begin(tagSequence)
	for _, a := range q.attributes {
		w.string(tagOctetString, a)
	}
	w.end()
	w.end()
	if q.pageSize > 0 {
		w.begin(0xa0)
		w.begin(tagSequence)
		w.string(tagOctetString, oidPaging)
		w.begin(tagOctetString)
		w.begin(tagSequence)
		w.integer(tagInteger, q.pageSize)
		w.string(tagOctetString, q.cookie)
		w.end()
		w.end()
		w.end()
		w.end()
	}
	if err := c.flush(); err != nil {
		return result{}, err
	}
	for {
		m, err := c.receive()
		if err != nil {
			return result{}, err
		}
		switch m.tag {
		case opEntry:
			if err := entry(m.op); err != nil {
				return result{}, err
			}
		case opReference:
			var uris []string
			for len(m.op) > 0 {
				uri, err := m.op.take(tagOctetString)
				if err != nil {
					return result{}, err
				}
				uris = append(uris, string(uri))
			}
			reference(uris)
		case opIntermediate:
		case opDone:
			return decodeResult(m)
		default:
			return result{}, errTag
		}
	}
}

// attribute takes one attribute of an entry: its description and its values.
func (c *cursor) attribute() (name string, values cursor, err error) {
	a, err := c.take(tagSequence)
	if err != nil {
		return "", "", err
	}
	n, err := a.take(tagOctetString)
	if err != nil {
		return "", "", err
	}
	values, err = a.take(tagSet)
	return string(n), values, err
}

// entryParts takes an entry's DN and leaves its attributes.
func entryParts(op cursor) (dn string, attributes cursor, err error) {
	d, err := op.take(tagOctetString)
	if err != nil {
		return "", "", err
	}
	attributes, err = op.take(tagSequence)
	return string(d), attributes, err
}
