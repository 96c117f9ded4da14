package picture

import "image"

// Crop is the part of a picture that an export of width x height pixels shows: the
// largest of that ratio, in the middle.
func Crop(bounds image.Rectangle, width, height int) image.Rectangle {
	return centre(bounds, width, height)
}
