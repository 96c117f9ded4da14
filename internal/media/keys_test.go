package media

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const testAccount = "0a000000-0000-7000-8000-00000000000a"

// content is a media key of some bytes.
func content(kind, of, ext string) string {
	return ContentKey(testAccount, kind, sha256.Sum256([]byte(of)), ext)
}

func TestValidKey(t *testing.T) {
	hash := strings.Repeat("0af", 22)[:64]
	media := "media/" + testAccount + "/"
	part64 := strings.Repeat("a", 64)
	image := "0c000000-0000-5000-8000-00000000000c"
	accepted := []string{
		ImageKey(testAccount, image, "master", sha256.Sum256(nil), "png"), media + image + "/export-" + hash + ".jpg",
		content("master", "x", "png"), content("thumbnail", "x", "jpg"), content("a", "x", "webp"),
		content("export_2-b", "x", "json"), content("z"+strings.Repeat("9", 31), "x", "zip"),
		"journal/a/b", "journal/0/1", "journal/a/b.image", "journal/a/b/c/d", "journal/a/b/c/d.result",
		"journal/" + testAccount + "/1", "journal/a__b/c-_",
		"journal/" + part64 + "/" + part64,
	}
	for _, key := range accepted {
		assert.True(t, ValidKey(key), key)
	}
	refused := map[string]string{
		"empty":                      "",
		"nothing below":              "media/",
		"traversal":                  "media/../" + testAccount + "/master/" + hash + ".png",
		"traversal of the account":   "media/" + strings.Repeat(".", 36) + "/master/" + hash + ".png",
		"traversal in the journal":   "journal/../b",
		"traversal at the end":       "journal/a/..",
		"a dot":                      "journal/a/./b",
		"escaped slash":              media + "master%2f" + hash + ".png",
		"escaped dots":               "journal/%2e%2e/b",
		"escaped twice":              "journal/%252e%252e/b",
		"backslash":                  `journal/a\b/c`,
		"absolute":                   "/journal/a/b",
		"doubled slash":              "journal//a/b",
		"trailing slash":             "journal/a/b/",
		"line break at the end":      "journal/a/b\n",
		"line break behind an ext":   content("master", "x", "png") + "\n",
		"zero byte":                  "journal/a/b\x00",
		"space":                      "journal/a/b c",
		"upper case in the journal":  "journal/A/b",
		"upper case root":            "Media/" + testAccount + "/master/" + hash + ".png",
		"upper case account":         "media/" + strings.ToUpper(testAccount) + "/master/" + hash + ".png",
		"upper case hash":            media + "master/" + strings.ToUpper(hash) + ".png",
		"upper case extension":       media + "master/" + hash + ".PNG",
		"upper case kind":            media + "Master/" + hash + ".png",
		"a letter beyond ASCII":      "journal/ä/b",
		"a lookalike of a":           "journal/\u0430/b",
		"account is no UUID":         "media/0a000000-0000-7000-8000-00000000000/master/" + hash + ".png",
		"hash too short":             media + "master/" + hash[1:] + ".png",
		"hash too long":              media + "master/0" + hash + ".png",
		"kind begins with a figure":  media + "1master/" + hash + ".png",
		"kind too long":              media + "z" + strings.Repeat("9", 32) + "/" + hash + ".png",
		"no kind":                    media + hash + ".png",
		"no extension":               media + "master/" + hash,
		"an image without a kind":    media + image + "/" + hash + ".png",
		"image is no UUID":           media + image[1:] + "/master-" + hash + ".png",
		"upper case image":           media + strings.ToUpper(image) + "/master-" + hash + ".png",
		"folders of an image":        media + image + "/master/" + hash + ".png",
		"a kind where none is":       media + "master/master-" + hash + ".png",
		"an extension of a script":   media + "master/" + hash + ".svg",
		"two extensions":             media + "master/" + hash + ".png.jpg",
		"journal of one part":        "journal/a",
		"journal of five parts":      "journal/a/b/c/d/e",
		"journal part too long":      "journal/a" + part64 + "/b",
		"journal begins with -":      "journal/-a/b",
		"hidden":                     "journal/.incoming/b",
		"the directory of the store": ".incoming/ABC",
		"another root":               "secrets/a/b",
		"too long in all":            "journal/" + part64 + "/" + part64 + "/" + part64 + "/" + part64,
		// gocloud's fileblob keeps the attributes of b there.
		"attributes of another key": "journal/a/b.attrs",
		"an escape of its":          "journal/a__0x2f__b/c",
	}
	for name, key := range refused {
		assert.False(t, ValidKey(key), "%s: %q", name, key)
	}
}

func TestListPrefixes(t *testing.T) {
	for _, prefix := range []string{"media/", AccountPrefix(testAccount), AccountPrefix(testAccount) + "master/", ImagePrefix(testAccount, testAccount), "journal/", "journal/a/b/c/"} {
		assert.True(t, listPrefix.MatchString(prefix), prefix)
	}
	for _, prefix := range []string{"", "/", "m", "media", "journal/a", "../", "media/../", "media/A/", "media//", ".incoming/", "journal/a/b/c/d/", "media/\n"} {
		assert.False(t, listPrefix.MatchString(prefix), prefix)
	}
}

func TestMIMETypesAndExtensions(t *testing.T) {
	for ext, mime := range map[string]string{
		"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "json": "application/json", "zip": "application/zip",
	} {
		assert.Equal(t, mime, MIMEType(content("master", "x", ext)))
		assert.Equal(t, ext, Extension(mime))
	}
	assert.Equal(t, "application/octet-stream", MIMEType("journal/a/b"))
	assert.Equal(t, "application/octet-stream", MIMEType("journal/a/b.image"))
	require.Empty(t, Extension("image/svg+xml"))
	require.Empty(t, Extension(""))
}
