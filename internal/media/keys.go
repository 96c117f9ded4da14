package media

import (
	"encoding/hex"
	"path"
	"regexp"
	"strings"
)

const (
	uuid = `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`
	kind = `[a-z][a-z0-9_-]{0,31}`
)

// keyBytesMax bounds a key. The longest that a pattern below allows is shorter
// than what any store takes (S3: 1,024 bytes).
const keyBytesMax = 256

// Keys are made by the server alone, and every call checks them: a key is an
// address in the store and a part of a signed link, never anything a person
// wrote.
var (
	mediaKey   = regexp.MustCompile(`^media/` + uuid + `/(` + kind + `/|` + uuid + `/` + kind + `-)[0-9a-f]{64}\.(jpg|png|webp|json|zip)$`)
	journalKey = regexp.MustCompile(`^journal(/[0-9a-z][0-9a-z_-]{0,63}){2,4}(\.[a-z]{1,8})?$`)
	listPrefix = regexp.MustCompile(`^(media|journal)/([0-9a-z][0-9a-z_-]{0,63}/){0,3}$`)
)

// ContentKey is the key of bytes by their SHA-256:
// media/<account>/<kind>/<hex>.<ext>. The account is a UUID in lower case, the
// kind a word such as asset, the extension one of jpg, png, webp, json and zip.
// Every use of a key checks it, so that a wrong part is refused there with ErrKey.
func ContentKey(accountID, kind string, sha256 [32]byte, ext string) string {
	return AccountPrefix(accountID) + kind + "/" + hex.EncodeToString(sha256[:]) + "." + ext
}

// ImageKey is the key of bytes that belong to one image, by their SHA-256 or by that
// of what they were made from: media/<account>/<image>/<kind>-<hex>.<ext>, with a
// kind such as master, thumbnail or export. No two images share a key, whatever
// their bytes: all that there is of an image lies under its prefix, and goes with it.
func ImageKey(accountID, imageID, kind string, sha256 [32]byte, ext string) string {
	return ImagePrefix(accountID, imageID) + kind + "-" + hex.EncodeToString(sha256[:]) + "." + ext
}

// AccountPrefix is where all media of one account lie, for List.
func AccountPrefix(accountID string) string { return "media/" + accountID + "/" }

// ImagePrefix is where all of one image lies, for List.
func ImagePrefix(accountID, imageID string) string { return AccountPrefix(accountID) + imageID + "/" }

// What gocloud's fileblob gives a meaning of its own: the file of attributes
// beside an object, and the beginning of an escape such as __0x2f__.
const (
	attributesSuffix = ".attrs"
	escapeBegin      = "__0x"
)

// ValidKey says whether a key has one of the shapes that the store knows:
// media/<account>/<kind>/<64 hex>.<ext>, media/<account>/<image>/<kind>-<64 hex>.<ext>,
// and journal/ with two to four parts of small letters, digits, - and _, the last
// with an extension or without, but not .attrs.
func ValidKey(key string) bool {
	return len(key) <= keyBytesMax && (mediaKey.MatchString(key) || journalKey.MatchString(key)) &&
		!strings.HasSuffix(key, attributesSuffix) && !strings.Contains(key, escapeBegin)
}

// mimeTypes is what each extension holds. The type is derived from the key, so
// that no store needs metadata beside its objects.
var mimeTypes = map[string]string{
	".jpg":  "image/jpeg",
	".png":  "image/png",
	".webp": "image/webp",
	".json": "application/json",
	".zip":  "application/zip",
}

// MIMEType is the type that a key's extension stands for, and
// application/octet-stream where it stands for none.
func MIMEType(key string) string {
	if mime, ok := mimeTypes[path.Ext(key)]; ok {
		return mime
	}
	return "application/octet-stream"
}

// Extension is the one of a MIME type, without a dot, and empty where the store
// takes no such type.
func Extension(mimeType string) string {
	for ext, mime := range mimeTypes {
		if mime == mimeType {
			return ext[1:]
		}
	}
	return ""
}
