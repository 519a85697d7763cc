package pushers

// Mode is how much of what clients send is kept in the log.
type Mode string

// The modes. Secrets are kept in none.
const (
	Masked Mode = "masked" // of values of people their first letter
	Full   Mode = "full"
	Off    Mode = "off" // no bodies
)

// Mask makes a body fit to be kept.
func Mask(body []byte, mode Mode) string { return "" }

// MaskQuery makes the query of an address fit to be kept.
func MaskQuery(query string, mode Mode) string { return "" }
