package ldap

import (
	"encoding/hex"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
)

// The messages of RFC 4533. A UUID is the 16 bytes of the control.

// Modes of a sync request (RFC 4533, 2.2).
const (
	syncRefreshOnly       = 1
	syncRefreshAndPersist = 3
)

// States of an entry (RFC 4533, 2.3). The last is Apache Directory's own, for one
// that was renamed or moved.
const (
	statePresent = 0
	stateAdd     = 1
	stateModify  = 2
	stateDelete  = 3
	stateRename  = 4
)

type syncUUID [16]byte

func syncControl(mode int, cookie []byte) control {
	var w writer
	w.begin(tagSequence)
	w.integer(tagEnumerated, mode)
	if cookie != nil {
		w.string(tagOctetString, string(cookie))
	}
	w.end()
	return control{oid: oidSyncRequest, critical: true, value: w.b}
}

// decodeSyncState reads the control each entry carries.
func decodeSyncState(value cursor) (state int, id syncUUID, err error) {
	v, err := value.take(tagSequence)
	if err != nil {
		return 0, id, err
	}
	if state, err = v.integer(tagEnumerated); err != nil {
		return 0, id, err
	}
	if state < statePresent || state > stateRename {
		return 0, id, errNumber
	}
	id, err = v.uuid()
	return state, id, err
}

func (c *cursor) uuid() (id syncUUID, err error) {
	v, err := c.take(tagOctetString)
	if err != nil {
		return id, err
	}
	if copy(id[:], v) != len(v) || len(v) != len(id) {
		return id, errLength
	}
	return id, nil
}

// decodeSyncDone reads the control of the end: the cookie for the next time, nil
// where there is none, and whether what went was named.
func decodeSyncDone(value cursor) (cookie []byte, deletes bool, err error) {
	v, err := value.take(tagSequence)
	if err != nil {
		return nil, false, err
	}
	return v.cookieAndFlag(false)
}

// cookieAndFlag takes the optional cookie and the boolean behind it.
func (c *cursor) cookieAndFlag(otherwise bool) (cookie []byte, flag bool, err error) {
	flag = otherwise
	for len(*c) > 0 {
		tag, content, err := c.next()
		if err != nil {
			return nil, false, err
		}
		switch tag {
		case tagOctetString:
			cookie = []byte(content)
		case tagBoolean:
			if len(content) != 1 {
				return nil, false, errLength
			}
			flag = content[0] != 0
		default:
			return nil, false, errTag
		}
	}
	return cookie, flag, nil
}

// syncInfo is a Sync Info Message (RFC 4533, 2.5).
type syncInfo struct {
	cookie  []byte
	present bool // it says what is still there: the end of a present phase, or a set of IDs
	done    bool // the refresh is over; with persist alone
	ids     []syncUUID
	set     bool // there was a set of IDs, of what is there or (not present) of what went
}

// decodeSyncInfo reads an intermediate message; nil is another kind of it.
func decodeSyncInfo(m message) (*syncInfo, error) {
	var name, value cursor
	for len(m.op) > 0 {
		tag, content, err := m.op.next()
		if err != nil {
			return nil, err
		}
		switch tag {
		case 0x80:
			name = content
		case 0x81:
			value = content
		}
	}
	if name != oidSyncInfo {
		return nil, nil
	}
	tag, v, err := value.next()
	if err != nil {
		return nil, err
	}
	i := &syncInfo{}
	switch tag {
	case 0x80: // newcookie
		i.cookie = []byte(v)
	case 0xa1, 0xa2: // refreshDelete, refreshPresent
		i.present = tag == 0xa2
		i.cookie, i.done, err = v.cookieAndFlag(true)
	case 0xa3: // syncIdSet
		err = i.idSet(v)
	default:
		err = errTag
	}
	return i, err
}

func (i *syncInfo) idSet(v cursor) error {
	i.set, i.present = true, true
	for len(v) > 0 {
		tag, content, err := v.next()
		if err != nil {
			return err
		}
		switch tag {
		case tagOctetString:
			i.cookie = []byte(content)
		case tagBoolean: // refreshDeletes
			if len(content) != 1 {
				return errLength
			}
			i.present = content[0] == 0
		case tagSet:
			for len(content) > 0 {
				id, err := content.uuid()
				if err != nil {
					return err
				}
				i.ids = append(i.ids, id)
			}
		default:
			return errTag
		}
	}
	return nil
}

// syncAnchor tells whether external IDs made of an attribute can be made of the
// IDs of the controls as well: entryUUID is what RFC 4533 means, and 389
// Directory Server sends its nsUniqueId.
func syncAnchor(vendor, anchor string) bool {
	if vendor == vendor389 {
		return strings.EqualFold(anchor, nsUniqueID)
	}
	return strings.EqualFold(anchor, entryUUID)
}

// externalID is the anchor's value for a control's ID. 389 Directory Server
// writes the same bytes in other groups: 8-8-8-8.
func (id syncUUID) externalID(anchor string) directory.ExternalID {
	h := hex.EncodeToString(id[:])
	if strings.EqualFold(anchor, nsUniqueID) {
		return directory.ExternalID(h[:8] + "-" + h[8:16] + "-" + h[16:24] + "-" + h[24:])
	}
	return directory.ExternalID(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:])
}
