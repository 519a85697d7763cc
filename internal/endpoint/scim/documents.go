package scim

import (
	"net/http"
	"strings"

	"rollcall.dev/rollcall/internal/scim"
)

// schemas and the two below say what there is (RFC 7644, section 4). They may not be
// filtered: "if a filter is provided, the service provider SHOULD respond with HTTP
// status code 403".
func (q *request) schemas() error { return q.documents(scim.Schemas(q.base())) }

func (q *request) resourceTypes() error { return q.documents(scim.ResourceTypes(q.base())) }

func (q *request) documents(list []scim.Object) error {
	if q.r.URL.Query().Get("filter") != "" {
		return &scim.Error{Status: http.StatusForbidden, Detail: "there are a few of these only; they are not filtered"}
	}
	return q.reply(http.StatusOK, scim.ListObject(scim.Page{Resources: list, Total: len(list), Start: 1}))
}

func (q *request) schema() error       { return q.document(scim.Schemas(q.base())) }
func (q *request) resourceType() error { return q.document(scim.ResourceTypes(q.base())) }

func (q *request) document(list []scim.Object) error {
	for _, o := range list {
		if id, _ := o["id"].(string); strings.EqualFold(id, q.r.PathValue("id")) {
			return q.reply(http.StatusOK, o)
		}
	}
	return &scim.Error{Status: http.StatusNotFound, Detail: "there is no such document"}
}

func (q *request) config() error {
	return q.reply(http.StatusOK, scim.Config(scim.ConfigOptions{Base: q.base(), MaxOperations: mostBulk, MaxPayloadSize: longestBulk, MaxResults: mostCount, DefaultResults: usualCount}))
}
