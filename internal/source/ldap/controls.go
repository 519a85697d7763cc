package ldap

// The controls of searches, by their OIDs.
const (
	oidPaging           = "1.2.840.113556.1.4.319"    // RFC 2696
	oidSyncRequest      = "1.3.6.1.4.1.4203.1.9.1.1"  // RFC 4533, 2.2
	oidSyncState        = "1.3.6.1.4.1.4203.1.9.1.2"  // RFC 4533, 2.3
	oidSyncDone         = "1.3.6.1.4.1.4203.1.9.1.3"  // RFC 4533, 2.4
	oidSyncInfo         = "1.3.6.1.4.1.4203.1.9.1.4"  // RFC 4533, 2.5: an intermediate message
	oidDirSync          = "1.2.840.113556.1.4.841"    // MS-ADTS 3.1.1.3.4.1.3
	oidShowDeleted      = "1.2.840.113556.1.4.417"    // MS-ADTS 3.1.1.3.4.1.14
	oidNotification     = "1.2.840.113556.1.4.528"    // MS-ADTS 3.1.1.3.4.1.9
	oidPasswordPolicy   = "1.3.6.1.4.1.42.2.27.8.5.1" // draft-behera-ldap-password-policy 6.1
	oidPasswordExpired  = "2.16.840.1.113730.3.4.4"   // draft-vchu-ldap-pwd-policy 2.1: of an answer alone
	oidPersistentSearch = "2.16.840.1.113730.3.4.3"   // draft-ietf-ldapext-psearch-03
)

// control is a control of a request (RFC 4511, 4.1.11).
type control struct {
	oid      string
	critical bool
	value    []byte // nil: none
}

func (w *writer) control(c control) {
	w.begin(tagSequence)
	w.string(tagOctetString, c.oid)
	if c.critical {
		w.boolean(true)
	}
	if c.value != nil {
		w.string(tagOctetString, string(c.value))
	}
	w.end()
}

// controls writes the controls of a request, if there are any.
func (w *writer) controls(list []control) {
	if len(list) == 0 {
		return
	}
	w.begin(0xa0)
	for _, c := range list {
		w.control(c)
	}
	w.end()
}

// findControl gives the value of a control that came with a message, and
// whether it did.
func findControl(controls cursor, oid string) (value cursor, found bool, err error) {
	for len(controls) > 0 {
		c, err := controls.take(tagSequence)
		if err != nil {
			return "", false, err
		}
		name, err := c.take(tagOctetString)
		if err != nil {
			return "", false, err
		}
		for len(c) > 0 {
			tag, content, err := c.next()
			if err != nil {
				return "", false, err
			}
			if tag == tagOctetString && string(name) == oid {
				value = content
			}
		}
		if string(name) == oid {
			return value, true, nil
		}
	}
	return "", false, nil
}

func pagingControl(size int, cookie string) control {
	var w writer
	w.begin(tagSequence)
	w.integer(tagInteger, size)
	w.string(tagOctetString, cookie)
	w.end()
	return control{oid: oidPaging, value: w.b}
}

// decodePaging gives where the next page starts, "" after the last.
func decodePaging(value cursor) (string, error) {
	v, err := value.take(tagSequence)
	if err != nil {
		return "", err
	}
	if _, err := v.take(tagInteger); err != nil {
		return "", err
	}
	cookie, err := v.take(tagOctetString)
	return string(cookie), err
}

// Flags of the DirSync control (MS-ADTS 3.1.1.3.4.1.3): see only what the
// account may see, for which no right to replicate is needed; and of attributes
// such as member only the values that changed. The number is a signed one.
const (
	dirSyncObjectSecurity    = 0x1
	dirSyncIncrementalValues = -0x80000000
)

// dirSyncMost is how many bytes of attributes one answer may hold: as many as
// the server likes.
const dirSyncMost = 1<<31 - 1

func dirSyncControl(cookie []byte) control {
	var w writer
	w.begin(tagSequence)
	w.integer(tagInteger, dirSyncObjectSecurity|dirSyncIncrementalValues)
	w.integer(tagInteger, dirSyncMost)
	w.string(tagOctetString, string(cookie))
	w.end()
	return control{oid: oidDirSync, critical: true, value: w.b}
}

// decodeDirSync gives whether there is more, and the cookie to go on with.
func decodeDirSync(value cursor) (more bool, cookie []byte, err error) {
	v, err := value.take(tagSequence)
	if err != nil {
		return false, nil, err
	}
	flags, err := v.integer(tagInteger)
	if err != nil {
		return false, nil, err
	}
	if _, _, err := v.next(); err != nil { // a size nobody needs
		return false, nil, err
	}
	c, err := v.take(tagOctetString)
	return flags != 0, []byte(c), err
}

// Change types of a persistent search, all of them, and what is asked: changes
// alone, with the control that tells what happened.
func persistentSearchControl() control {
	var w writer
	w.begin(tagSequence)
	w.integer(tagInteger, 1|2|4|8)
	w.boolean(true)
	w.boolean(true)
	w.end()
	return control{oid: oidPersistentSearch, critical: true, value: w.b}
}
