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
	controls   []control
	elsewhere  bool // what lies on other servers does not matter
	namesOnly  bool // attributes come without their values
	ahead      bool // pages may be asked for while the one before is worked on
}

// answers take what comes before a search is done. What is nil is passed over.
type answers struct {
	entry        func(m message) error
	reference    func(uris []string)
	intermediate func(m message) error
}

// ask sends a search and hands on what comes: each entry's operation content
// and each reference's URIs. It returns the final result, whatever its code; an
// error means that there was none. An error of entry is returned as it is.
func (c *conn) ask(q *query, entry func(op cursor) error, reference func(uris []string)) (result, error) {
	return c.search(q, answers{entry: func(m message) error { return entry(m.op) }, reference: reference})
}

// search is ask for those who look at controls and intermediate messages too.
func (c *conn) search(q *query, to answers) (result, error) {
	if err := c.request(q); err != nil {
		return result{}, err
	}
	for {
		m, err := c.receive()
		if err != nil {
			return result{}, err
		}
		done, err := to.take(m)
		if err != nil {
			c.stale = true
			return result{}, err
		}
		if done {
			return decodeResult(m)
		}
	}
}

// take hands on one message and tells whether it is the last of its search.
func (to *answers) take(m message) (done bool, err error) {
	switch m.tag {
	case opEntry:
		if to.entry != nil {
			return false, to.entry(m)
		}
	case opReference:
		var uris []string
		for len(m.op) > 0 {
			uri, err := m.op.take(tagOctetString)
			if err != nil {
				return false, err
			}
			uris = append(uris, string(uri))
		}
		if to.reference != nil {
			to.reference(uris)
		}
	case opIntermediate:
		if to.intermediate != nil {
			return false, to.intermediate(m)
		}
	case opDone:
		return true, nil
	default:
		return false, errTag
	}
	return false, nil
}

// request sends a search request.
func (c *conn) request(q *query) error {
	w := c.begin()
	w.begin(opSearch)
	w.string(tagOctetString, q.base)
	w.integer(tagEnumerated, q.scope)
	w.integer(tagEnumerated, 0) // aliases are not followed
	w.integer(tagInteger, q.sizeLimit)
	w.integer(tagInteger, 0)
	w.boolean(q.namesOnly)
	w.b = append(w.b, q.filter...)
	w.begin(tagSequence)
	for _, a := range q.attributes {
		w.string(tagOctetString, a)
	}
	w.end()
	w.end()
	controls := q.controls
	if q.pageSize > 0 {
		controls = append([]control{pagingControl(q.pageSize, q.cookie)}, controls...)
	}
	w.controls(controls)
	return c.flush()
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
