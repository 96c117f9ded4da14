package workflow

import (
	"encoding/json"
	"slices"
)

// What the checks of a picture read of kit and brief, by the same rules as the
// prompt that it was drawn from. What does not parse has nothing: no prompt was
// made of it either.

// Colours returns a kit's colours as #RRGGBB, the leading one first, and those
// that must not appear. The prompt names the same.
func Colours(kit []byte) (wanted, unwanted []string) {
	d, err := parse(kit)
	if err != nil {
		return nil, nil
	}
	return d.colors()
}

// Rules returns what a kit says that pictures should and should not have.
func Rules(kit []byte) (do, dont []string) {
	d, err := parse(kit)
	if err != nil {
		return nil, nil
	}
	return d.texts("do"), d.texts("dont")
}

// Scene returns the brief as the model is shown it, as data between markers, and
// apart from it the copy that is set over the picture later.
func Scene(brief []byte) (scene string, overlay []string) {
	d, err := parse(brief)
	if err != nil {
		return "", nil
	}
	for _, key := range overlayKeys {
		overlay = append(overlay, d.texts(key)...)
	}
	return d.without(overlayOrReference).block("brief"), overlay
}

// texts are the texts of a list, or the one text, under a key.
func (d document) texts(key string) []string {
	var list []string
	if json.Unmarshal(d.values[key], &list) != nil {
		var one string
		if json.Unmarshal(d.values[key], &one) != nil {
			return nil
		}
		list = []string{one}
	}
	return slices.DeleteFunc(list, func(text string) bool { return text == "" })
}
