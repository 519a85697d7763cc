package account

import "slices"

// Field is one of the mapped text fields of an account.
type Field uint8

// The mapped text fields, in the order in which they are shown.
const (
	Username Field = iota
	Email
	FirstName
	LastName
	DisplayName
	MobilePhone
	Phone
	Language
	Title
	Department
	Location
	Role
	fields
)

// Text holds the text fields of an account, indexed by Field.
type Text [fields]string

var fieldNames = [fields]string{
	"username", "email", "first_name", "last_name", "display_name", "mobile_phone", "phone",
	"language", "title", "department", "location", "role",
}

// Mandatory are the fields without which there is no account.
var Mandatory = []Field{Username, Email, FirstName, LastName}

func (f Field) String() string { return fieldNames[f] }

// FieldNamed finds a field by its name.
func FieldNamed(name string) (Field, bool) {
	i := slices.Index(fieldNames[:], name)
	if i < 0 {
		return 0, false
	}
	return Field(i), true
}

// CustomPrefix begins the name of a custom attribute where it stands among the fields.
const CustomPrefix = "attributes."

// FieldNames lists every text field's name.
func FieldNames() []string { return fieldNames[:] }
