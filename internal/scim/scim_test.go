package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

// object reads JSON as a body is read.
func object(t testing.TB, text string) Object {
	t.Helper()
	o, err := decodeObject([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

func text(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(b.Bytes()))
}

// sameJSON compares a value with JSON, whatever the order of its names.
func sameJSON(t testing.TB, got any, want string) {
	t.Helper()
	v, err := decode([]byte(want))
	if err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	if back, err := decode([]byte(text(t, got))); err != nil || !reflect.DeepEqual(back, v) {
		t.Errorf("got  %s\nwant %s", text(t, got), text(t, v))
	}
}

// isError checks the type of an error, and that it tells something.
func isError(t testing.TB, err error, want ErrorType) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is not one of this protocol; want %s", err, want)
	}
	if e.Type != want || e.Detail == "" || e.Status < 400 {
		t.Errorf("error %d %q %q; want %q", e.Status, e.Type, e.Detail, want)
	}
}

// ours reports whether an error is one of this protocol.
func ours(err error) bool {
	var e *Error
	return errors.As(err, &e)
}
