package client

// Problem is an error as the API tells it (RFC 9457), with a hint for whoever
// can do something about it.
type Problem struct { //nolint:errname // RFC 9457 calls it a problem
	Type      string       `json:"type" doc:"about:blank: the status says it all." example:"about:blank"`
	Title     string       `json:"title" doc:"The status in words." example:"Conflict"`
	Status    int          `json:"status" example:"409"`
	Detail    string       `json:"detail" doc:"What went wrong, in a sentence."`
	Hint      string       `json:"hint,omitempty" doc:"What to do about it."`
	RequestID string       `json:"request_id" doc:"The ID under which the server's log has more."`
	Reason    string       `json:"reason,omitempty" enum:"invalid_credentials,disabled,expired,locked,must_change_password,not_in_scope,licence_full" doc:"Why somebody is not let in; of a refused sign-in only."`
	Shown     *bool        `json:"shown,omitempty" doc:"Whether the person may be told the reason: their password was right, so it tells nobody else anything. Of a refused sign-in only."`
	Errors    []FieldError `json:"errors,omitempty" nullable:"false" doc:"What is wrong with the request, a thing each."`
}

// FieldError is one thing that is wrong with a request.
type FieldError struct {
	Location string `json:"location" doc:"Where: body.name, query.limit and so on." example:"query.limit"`
	Message  string `json:"message"`
}

// Error is the detail, with what is wrong in the request.
func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	for _, e := range p.Errors {
		text += "; " + e.Location + ": " + e.Message
	}
	return text
}
