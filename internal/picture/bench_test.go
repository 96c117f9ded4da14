package picture

import (
	"encoding/binary"
	"image"
	"testing"

	"github.com/stretchr/testify/require"
)

// Of a picture as the models draw it at 2K, to the largest placement.
func BenchmarkExport(b *testing.B) {
	img := photograph(b, 1536, 2752)
	b.ReportAllocs()
	for b.Loop() {
		_, err := Export(img, Target{Width: 1080, Height: 1920})
		require.NoError(b, err)
	}
}

func BenchmarkThumbnail(b *testing.B) {
	img := photograph(b, 1536, 2752)
	b.ReportAllocs()
	for b.Loop() {
		_, err := Thumbnail(img, 480)
		require.NoError(b, err)
	}
}

func BenchmarkReencode(b *testing.B) {
	photo, logo := photograph(b, 1536, 2752), lettered(stored[1])
	for name, data := range map[string][]byte{
		"photograph":         encodedJPEG(b, photo),
		"photograph, turned": withExif(encodedJPEG(b, photo), exif(binary.BigEndian, 6)),
		"logo":               encodedPNG(b, logo),
		"flat PNG 2000x2000": encodedPNG(b, image.NewNRGBA(image.Rect(0, 0, 2000, 2000))),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				_, _, _, _, err := Reencode(data)
				require.NoError(b, err)
			}
		})
	}
}
