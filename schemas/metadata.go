package schemas

import "github.com/google/uuid"

// DeriveID returns the UUIDv5 of name under the record or subject parent: what a
// command brings about has an ID that follows from it, so that doing it again
// makes the same ID. A parent that is no UUID counts as its bytes.
func DeriveID(parent, name string) string {
	space, err := uuid.Parse(parent)
	if err != nil {
		space = uuid.NewSHA1(uuid.NameSpaceOID, []byte(parent))
	}
	return uuid.NewSHA1(space, []byte(name)).String()
}

// NewID returns a fresh UUIDv7: sortable by the time of its making.
func NewID() string { return uuid.Must(uuid.NewV7()).String() }

// ID16 returns the 16 bytes of a UUID, zero where s is none.
func ID16(s string) [16]byte {
	id, _ := uuid.Parse(s)
	return id
}

// IDString returns a UUID's usual form.
func IDString(id [16]byte) string { return uuid.UUID(id).String() }
