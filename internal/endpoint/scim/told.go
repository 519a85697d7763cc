package scim

import (
	"context"
	"errors"
	"net/http"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/scim"
)

// told is what a client learns of an error. What is ours stays in our log.
func (e *Endpoint) told(ctx context.Context, err error) *scim.Error {
	var known *scim.Error
	if errors.As(err, &known) {
		return known
	}
	status, detail := http.StatusInternalServerError, "this could not be done; the server's log says why"
	switch fault.KindOf(err) {
	case fault.NotFound:
		return &scim.Error{Status: http.StatusNotFound, Detail: err.Error()}
	case fault.Invalid:
		return scim.Bad(scim.InvalidValue, "%s", err.Error())
	case fault.Conflict:
		return &scim.Error{Status: http.StatusConflict, Detail: err.Error()}
	case fault.Unavailable:
		status, detail = http.StatusServiceUnavailable, "the database cannot be reached; nothing was written"
	case fault.Internal, fault.Denied, fault.Held: // none of them is the client's doing
	}
	if ctx.Err() == nil {
		e.Log.Error("a push failed", "error", err.Error())
	}
	return &scim.Error{Status: status, Detail: detail}
}
