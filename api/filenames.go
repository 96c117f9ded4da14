package api

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"atelier/schemas"
)

const (
	// namingDefault is how files in a ZIP are called where nothing else is asked for.
	namingDefault = "{campaign}_{brand}_{placement}_{number}"
	// filenameBytesMax bounds a file's name without its extension: with a folder, a
	// number and an extension it stays below what every file system takes (255 bytes).
	filenameBytesMax = 120
)

// namingFields are what a naming template may have.
var namingFields = []string{"campaign", "brand", "product", "placement", "platform", "width", "height", "number", "variant", "date", "id"}

var namingField = regexp.MustCompile(`\{([^{}]*)\}`)

// brokenNaming says what is wrong with a naming template; empty: nothing.
func brokenNaming(template string) string {
	for _, m := range namingField.FindAllStringSubmatch(template, -1) {
		known := false
		for _, name := range namingFields {
			known = known || m[1] == name
		}
		if !known {
			return fmt.Sprintf("{%s} is no field; there are {%s}", m[1], strings.Join(namingFields, "}, {"))
		}
	}
	if strings.ContainsAny(namingField.ReplaceAllString(template, ""), "{}") {
		return "has a brace that closes or opens nothing"
	}
	return ""
}

// named fills a naming template in. number counts the files of a folder from 1.
func named(template string, g generationRow, brand string, p schemas.Placement, number int) string {
	product := ""
	if g.product != nil {
		product = *g.product
	}
	values := map[string]string{
		"campaign": g.campaign, "brand": brand, "product": product, "placement": p.ID, "platform": p.Platform,
		"width": strconv.Itoa(p.Width), "height": strconv.Itoa(p.Height), "number": fmt.Sprintf("%02d", number),
		"variant": strconv.Itoa(g.number), "date": g.requested.UTC().Format("2006-01-02"), "id": g.id.String(),
	}
	return filename(namingField.ReplaceAllStringFunc(template, func(field string) string {
		return safe(values[field[1:len(field)-1]])
	}))
}

// noName is what a file without a name is called.
const noName = "image"

// devices are names that Windows keeps for itself, whatever their extension
// (learn.microsoft.com, "Naming Files, Paths, and Namespaces").
var devices = regexp.MustCompile(`(?i)^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)`)

// filename makes a text into a file's name that every system takes; one that is none
// is called noName.
func filename(text string) string {
	switch name := safe(text); {
	case name == "":
		return noName
	case devices.MatchString(name):
		return "_" + name
	default:
		return name
	}
}

// safe keeps letters, digits, and single -, _ and dots inside, at most
// filenameBytesMax bytes; runs of anything else become one -. It may be empty.
func safe(text string) string {
	var name strings.Builder
	var last rune
	for _, r := range norm.NFC.String(strings.ToValidUTF8(text, "-")) {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '_' && r != '.' {
			r = '-'
		}
		// What a field left empty leaves no gap, and .. goes nowhere.
		separates := r == '-' || r == '_' || r == '.'
		if separates && (last == '-' || last == '_' || last == '.') {
			continue
		}
		name.WriteRune(r)
		last = r
	}
	return strings.Trim(cutAtRune(strings.TrimLeft(name.String(), "-_."), filenameBytesMax), "-_.")
}

func cutAtRune(text string, bytesMax int) string {
	if len(text) <= bytesMax {
		return text
	}
	return strings.ToValidUTF8(text[:bytesMax], "")
}

// uniqueName adds a number to a name that is taken, whatever its case: some file
// systems know no difference.
func uniqueName(name string, taken map[string]bool) string {
	unique := name
	for n := 2; taken[strings.ToLower(unique)]; n++ {
		unique = fmt.Sprintf("%s-%d", name, n)
	}
	taken[strings.ToLower(unique)] = true
	return unique
}
