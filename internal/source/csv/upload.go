package csv

import (
	"context"
	"os"

	"rollcall.dev/rollcall/internal/fault"
)

// openUpload copies the newest file given through the API into a temporary one:
// it is gone through more than once.
func (t *table) openUpload(ctx context.Context) (*copyOf, error) {
	body, err := t.upload(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close() //nolint:errcheck // only read
	f, err := os.CreateTemp("", "rollcall-csv-*")
	if err != nil {
		return nil, fault.New(fault.Internal, "csv: make a temporary file: %w", err)
	}
	c := &copyOf{File: f, temp: true}
	if err := t.download(ctx, c, body); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}
