package described

import _ "embed"

// Google describes what is read of a Google Workspace account; README.md says where it
// is from.
//
//go:embed google.yaml
var Google []byte
