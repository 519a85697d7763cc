package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestKindAndHintAreFoundThroughWrapping(t *testing.T) {
	inner := New(Denied, "sign in: %w", io.EOF).WithHint("Check the %s.", "password")
	for _, c := range []struct {
		name string
		err  error
		kind Kind
		hint string
		eof  bool
	}{
		{"nothing", nil, Internal, "", false},
		{"an error of somebody else", io.EOF, Internal, "", true},
		{"a fault", inner, Denied, "Check the password.", true},
		{"a wrapped fault", fmt.Errorf("read: %w", inner), Denied, "Check the password.", true},
		{"a fault around a fault", New(Unavailable, "read: %w", inner), Unavailable, "Check the password.", true},
		{"the outer hint comes first", New(Unavailable, "read: %w", inner).WithHint("Wait."), Unavailable, "Wait.", true},
		{"joined errors", errors.Join(errors.New("x"), inner), Denied, "Check the password.", true},
		{"a fault without a cause", New(NotFound, "no account %q", "anna"), NotFound, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := KindOf(c.err); got != c.kind {
				t.Errorf("kind %d, want %d", got, c.kind)
			}
			if got := HintOf(c.err); got != c.hint {
				t.Errorf("hint %q, want %q", got, c.hint)
			}
			if errors.Is(c.err, io.EOF) != c.eof {
				t.Errorf("its cause is lost or made up: %v", c.err)
			}
		})
	}
}

func TestAHintLeavesTheErrorItWasGivenToAlone(t *testing.T) {
	e := New(Invalid, "setting addr: %q is not an address", "x")
	if e.WithHint("Try ldaps://x.").Hint == "" || e.Hint != "" {
		t.Errorf("%+v", e)
	}
	if want := `setting addr: "x" is not an address`; e.Error() != want {
		t.Errorf("%q, want %q", e, want)
	}
}
