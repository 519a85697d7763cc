package rest

// Whole gives the clock with the real one in place of what is nil, for kinds that
// wait by themselves.
func (c Clock) Whole() Clock { return c.whole() }
