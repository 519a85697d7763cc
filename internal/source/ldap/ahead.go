package ldap

// lookEvery is how many messages are worked on between two looks at what has come.
const lookEvery = 16

// askAhead is ask for page after page. Now and then it looks through what has come by
// then for the end of the page, and asks for the next one before the rest of this one is
// worked on. A server does nothing between the end of a page and the next request: a
// fifth of a reading without changes was spent in waiting for each other. While pause
// tells that something is to be asked in between, no further page is asked for. q has
// the cookie of the last page that was, and onPage is how many entries it had.
func (c *conn) askAhead(q *query, entry func(op cursor) error, reference func(uris []string), pause func() bool) (res result, onPage int, err error) {
	to := answers{entry: func(m message) error { onPage++; return entry(m.op) }, reference: reference}
	if err := c.request(q); err != nil {
		return result{}, 0, err
	}
	page, asked := c.id, false // whether the next page is asked for already
	for n := 1; ; n++ {
		id, m, err := c.receiveAny()
		if err != nil {
			return result{}, onPage, err
		}
		if id != page {
			return result{}, onPage, errNotAsked
		}
		done, err := to.take(m)
		switch {
		case err != nil:
			c.stale = true
			return result{}, onPage, err
		case done && !asked:
			res, err := decodeResult(m)
			return res, onPage, err
		case done:
			page, asked, onPage = c.id, false, 0
		case !asked && onPage > 0 && n%lookEvery == 0 && !pause(): // a page without entries is the caller's to judge
			if asked, err = c.askNext(q, page); err != nil {
				return result{}, onPage, err
			}
		}
	}
}

// askNext asks for the page after a page whose end has come already, and reports
// whether it did.
func (c *conn) askNext(q *query, page int) (bool, error) {
	frame, ok := c.in.look(opDone)
	if !ok {
		return false, nil
	}
	id, m, err := decodeMessage(frame)
	if err != nil || id != page {
		return false, nil // whoever comes to it says so
	}
	res, err := decodeResult(m)
	if err != nil || res.code != 0 || !res.paged || res.cookie == "" {
		return false, nil
	}
	q.cookie = res.cookie
	return true, c.request(q)
}
