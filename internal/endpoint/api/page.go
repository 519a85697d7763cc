package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"rollcall.dev/rollcall/internal/fault"
)

// Page is a piece of a list.
type Page[T any] struct {
	Items      []T     `json:"items" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"Ask again with this cursor for what follows; null at the end."`
}

type pageOf[T any] struct{ Body Page[T] }

// Paging is how every list is asked for a piece of it.
type Paging struct {
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"1000" doc:"How many at the most."`
	Cursor string `query:"cursor" doc:"The next_cursor of the piece before; with the same filters."`
}

// A cursor is where a list goes on, as a key of its last item, so that what comes
// and goes meanwhile neither repeats nor hides anything. It carries a sum over
// itself, the list and its filters: one that was cut off, mistyped or taken from
// another list is refused instead of giving a wrong piece. It is no secret, and
// reaches no further than the key of the request.

const sumLength = 6

func cursorSum(list string, body []byte) []byte {
	sum := sha256.Sum256(append([]byte(list+"\x00"), body...))
	return sum[:sumLength]
}

// sealCursor writes a place in a list. list names it with its filters.
func sealCursor(list string, place any) (*string, error) {
	body, err := json.Marshal(place)
	if err != nil {
		return nil, err
	}
	text := base64.RawURLEncoding.EncodeToString(append(cursorSum(list, body), body...))
	return &text, nil
}

// openCursor reads what sealCursor wrote; "" leaves place as it is.
func openCursor(list, text string, place any) error {
	if text == "" {
		return nil
	}
	bad := fault.New(fault.Invalid, "the cursor is not one of this list").
		WithHint("give a next_cursor back as it came, with the same filters, or leave it out to begin anew")
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < sumLength {
		return bad
	}
	body := b[sumLength:]
	if string(cursorSum(list, body)) != string(b[:sumLength]) || json.Unmarshal(body, place) != nil {
		return bad
	}
	return nil
}

// cut makes a page of a list that was asked for one item more than the limit:
// whether there is one says whether the list goes on.
func cut[T any](list string, items []T, limit int, place func(T) any) (*pageOf[T], error) {
	out := &pageOf[T]{Body: Page[T]{Items: items}}
	if len(items) > limit {
		out.Body.Items = items[:limit]
		var err error
		if out.Body.NextCursor, err = sealCursor(list, place(items[limit-1])); err != nil {
			return nil, err
		}
	}
	if out.Body.Items == nil {
		out.Body.Items = []T{}
	}
	return out, nil
}
