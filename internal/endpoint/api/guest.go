package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
)

// Guests are people who set one connection up and reach nothing else: for them
// there are the operations below, and all others are not there. What comes from
// them is narrowed once more by mayGive, aPlan and listPlans.

// ofConnection are operations of one connection that its guest reaches.
var ofConnection = map[string]bool{
	"GET " + Prefix + "/connections/{alias}":          true,
	"PATCH " + Prefix + "/connections/{alias}":        true,
	"POST " + Prefix + "/connections/{alias}/check":   true,
	"POST " + Prefix + "/connections/{alias}/plan":    true,
	"POST " + Prefix + "/connections/{alias}/preview": true,
	"POST " + Prefix + "/connections/{alias}/try":     true,
	"PUT " + Prefix + "/connections/{alias}/file":     true,
	"GET " + Prefix + "/connections/{alias}/files":    true,

	// The identity provider of whoever sets up pushes with a token of theirs.
	"POST " + Prefix + "/connections/{alias}/token":         true,
	"POST " + Prefix + "/connections/{alias}/token/rotate":  true,
	"GET " + Prefix + "/connections/{alias}/tokens":         true,
	"DELETE " + Prefix + "/connections/{alias}/tokens/{id}": true,
	"GET " + Prefix + "/connections/{alias}/exchanges":      true,
	"GET " + Prefix + "/connections/{alias}/exchanges/{id}": true,
}

// narrowed are operations that look themselves at what is the guest's.
var narrowed = map[string]bool{
	"POST " + Prefix + "/connections":        true,
	"POST " + Prefix + "/connections/check":  true,
	"GET " + Prefix + "/plans":               true,
	"GET " + Prefix + "/plans/{id}":          true,
	"GET " + Prefix + "/plans/{id}/changes":  true,
	"GET " + Prefix + "/plans/{id}/notes":    true,
	"GET " + Prefix + "/plans/{id}/problems": true,
}

// reaches reports whether a caller may know of what is asked for. Everybody but a
// guest may; what is theirs is found out later.
func (s *server) reaches(c *Caller, r *http.Request) bool {
	if c.Connection == "" {
		return true
	}
	_, pattern := s.mux.Handler(r)
	switch {
	case pattern == "POST "+Prefix+"/connections":
		return c.Makes != ""
	case narrowed[pattern]:
		return true
	case ofConnection[pattern]:
		rest, _ := strings.CutPrefix(r.URL.EscapedPath(), Prefix+"/connections/")
		part, _, _ := strings.Cut(rest, "/")
		alias, err := url.PathUnescape(part)
		return err == nil && alias == c.Connection
	}
	return false
}

// guestKeys are the keys of a connection that a guest gives. The others say what
// may happen without a person (limits, schedule, policy), or find accounts that are
// not the connection's (match).
var guestKeys = map[string]bool{"alias": true, "organization": true, "backend": true, "mapping": true, "scope": true, "credential_expires": true}

// waiting makes a connection that a guest makes and clients push to a dry run: a run
// follows each push by itself, and nothing happens before an operator has seen it.
func (s *server) waiting(ctx context.Context, body json.RawMessage) (json.RawMessage, error) {
	if callerOf(ctx).Connection == "" {
		return body, nil
	}
	var form map[string]json.RawMessage
	var backend map[string]json.RawMessage
	if err := json.Unmarshal(body, &form); err != nil {
		return nil, fault.New(fault.Invalid, "the connection is not a JSON object: %w", err)
	}
	if err := json.Unmarshal(form["backend"], &backend); err != nil {
		return body, nil //nolint:nilerr // the registry says what is wrong with it
	}
	for _, k := range s.Kinds {
		if _, is := backend[k.Name]; is && k.Pushes {
			form["settings"] = json.RawMessage(`{"dry-run": true}`) // a guest gives none: mayGive
			return json.Marshal(form)
		}
	}
	return body, nil
}

// mayGive looks through what a guest wants a connection to be: a whole one, or a
// merge patch over the one named alias.
func (s *server) mayGive(ctx context.Context, alias string, body json.RawMessage) error {
	c := callerOf(ctx)
	if c.Connection == "" {
		return nil
	}
	missing := fault.New(fault.NotFound, "there is no connection %q", alias)
	if alias != "" && alias != c.Connection {
		return missing
	}
	var form map[string]json.RawMessage
	if err := json.Unmarshal(body, &form); err != nil {
		return fault.New(fault.Invalid, "the connection is not a JSON object: %w", err)
	}
	var named string
	if given, ok := form["alias"]; ok && (json.Unmarshal(given, &named) != nil || named != c.Connection) || alias == "" && (!ok || c.Makes == "") {
		return missing
	}
	for key := range form {
		if !guestKeys[key] {
			return fault.New(fault.Denied, "%s is not set by who came by a set-up link", key).WithHint("ask the operator, who sees the connection before anything happens")
		}
	}
	var backend map[string]json.RawMessage
	if given, ok := form["backend"]; ok && json.Unmarshal(given, &backend) != nil {
		return fault.New(fault.Invalid, "backend: this is not a block of keys")
	}
	for kind, settings := range backend {
		if string(settings) == "null" || c.Makes != "" && kind != c.Makes {
			return fault.New(fault.Denied, "the link is for a connection of another kind than %s", kind).WithHint("ask whoever sent it for another")
		}
	}
	return nil
}
