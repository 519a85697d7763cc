package described

import _ "embed"

// Okta describes what is read of an Okta organization; README.md says where it is from.
//
//go:embed okta.yaml
var Okta []byte
