package picture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostileBytesMax is what pictures and their garbage may take, whatever is sent.
const hostileBytesMax = 128 << 20

// Broken files of every type, and files made to cost as much as they can, go through
// all that is done with what others send. Nothing crashes, every error is one of
// three, and the heap stays small.
func TestHostileFiles(t *testing.T) {
	files := map[string][]byte{}
	if !raceDetector { // which makes a minute of them, and they run in one goroutine
		files = bombs(t)
	}
	whole := samples(t)
	names := slices.Sorted(maps.Keys(whole))
	random := rand.New(rand.NewPCG(100, 128))
	for n := 0; len(files) < 100; n++ {
		name := names[n%len(names)]
		files[fmt.Sprint(name, " corrupted ", n)] = corrupted(random, whole[name])
	}
	taken := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		peak := peakHeap(func() {
			if tried(t, name, files[name]) {
				taken++
			}
		})
		assert.Less(t, peak, int64(hostileBytesMax), name)
	}
	require.Positive(t, taken, "some are pictures still")
	require.Less(t, taken, len(files), "some are refused")
}

// tried does with a file what is done with uploads and with answers of a model.
func tried(t *testing.T, name string, data []byte) (taken bool) {
	t.Helper()
	_, _, width, height, err := Reencode(data)
	requireKnown(t, name, err)
	if err == nil {
		require.LessOrEqual(t, max(width, height), uploadSideMax, name)
	}
	img, _, err := Decode(data)
	requireKnown(t, name, err)
	if err != nil {
		return false
	}
	_, err = Thumbnail(img, ReducedSide)
	require.NoError(t, err, name)
	return true
}

func requireKnown(t *testing.T, name string, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrBroken) {
		require.NoError(t, err, name)
	}
}

// peakHeap is the most that objects take while f runs, what is not yet collected
// included. It is looked at each millisecond: larger things take longer to fill.
func peakHeap(f func()) int64 {
	done, peak := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		most := heapBytes()
		for {
			select {
			case <-tick.C:
				most = max(most, heapBytes())
			case <-done:
				peak <- max(most, heapBytes())
				return
			}
		}
	}()
	f()
	close(done)
	return <-peak
}

// bombs are small files that ask for much, within the limits and beyond them.
func bombs(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{
		"JPEG 25 megapixels 4:4:4":     jpegSpec{width: 5000, height: 5000, frame: markerSOF0, components: yCbCr444}.file(),
		"JPEG progressive":             jpegSpec{width: 3600, height: 3600, frame: markerSOF2, components: yCbCr420}.file(),
		"JPEG progressive, too large":  jpegSpec{width: 5000, height: 5000, frame: markerSOF2, components: yCbCr444}.file(),
		"JPEG CMYK":                    jpegSpec{width: 3300, height: 3300, frame: markerSOF0, components: cmyk, first: adobeRGB()}.file(),
		"JPEG turned":                  withExif(jpegSpec{width: 5000, height: 5000, frame: markerSOF0, components: yCbCr420}.file(), exif(binary.BigEndian, 6)),
		"JPEG of a long side":          jpegSpec{width: 65535, height: 100, frame: markerSOF0, components: yCbCr420}.file(),
		"JPEG without its pixels":      jpegSpec{width: 5000, height: 5000, frame: markerSOF0, components: yCbCr420}.head(),
		"PNG 25 megapixels":            pngSpec{width: 5000, height: 5000, depth: 8, colour: pngRGBA}.file(t),
		"PNG 25 megapixels, palette":   pngSpec{width: 5000, height: 5000, depth: 8, colour: pngPalette}.file(t),
		"PNG of one bit":               pngSpec{width: 3000, height: 3000, depth: 1, colour: pngGray}.file(t),
		"PNG of 16 bits":               pngSpec{width: 3500, height: 3500, depth: 16, colour: pngRGBA}.file(t),
		"PNG of 16 bits, too large":    pngSpec{width: 5000, height: 5000, depth: 16, colour: pngRGBA}.file(t),
		"PNG interlaced":               pngSpec{width: 3500, height: 3500, depth: 8, colour: pngRGBA, interlaced: true}.file(t),
		"PNG one pixel high":           pngSpec{width: 65535, height: 1, depth: 8, colour: pngRGBA}.file(t),
		"PNG too long":                 pngSpec{width: 1_000_000, height: 1, depth: 8, colour: pngRGBA}.file(t),
		"PNG turned":                   withExif(pngSpec{width: 5000, height: 4000, depth: 8, colour: pngRGBA}.file(t), exif(binary.BigEndian, 6)),
		"WebP of trees":                webpFile("VP8X", vp8x(0, 208, 208), "VP8L", hostileVP8L(208, 208, 2600)),
		"WebP of few trees":            webpFile("VP8X", vp8x(0, 208, 208), "VP8L", hostileVP8L(208, 208, 1000)),
		"WebP too large":               webpFile("VP8L", vp8lHeader(16384, 16384).data),
		"WebP of a canvas without end": webpFile("VP8X", vp8x(0, 1<<24, 1<<24)),
	}
	for name, data := range files {
		require.Less(t, len(data), 8<<20, name)
	}
	return files
}

// corrupted changes a file so that it may still be read for a while.
func corrupted(random *rand.Rand, data []byte) []byte {
	data = slices.Clone(data)
	for range 1 + random.IntN(8) {
		at := random.IntN(len(data))
		switch random.IntN(5) {
		case 0: // a bit
			data[at] ^= 1 << random.IntN(8)
		case 1: // a byte that means something
			data[at] = []byte{0, 0xff, 0x7f, 0x80, 0xd9, 0xda, 0xc2}[random.IntN(7)]
		case 2: // a size in the header
			at = random.IntN(min(len(data), 64))
			binary.BigEndian.PutUint16(data[min(at, len(data)-2):], uint16(random.IntN(1<<16)))
		case 3: // an end
			data = data[:max(16, at)]
		default: // a part again
			from := random.IntN(len(data))
			data = slices.Insert(data, at, slices.Clone(data[from:min(len(data), from+random.IntN(200))])...)
		}
	}
	return data
}

// Many at once are no more than one.
func TestHostileFilesAtOnce(t *testing.T) {
	peak := reencodeAtOnce(t, 3000)
	require.Less(t, peak, int64(hostileBytesMax))
}

// For the race detector, to which a large one says no more.
func TestFilesAtOnceShareNothing(t *testing.T) { reencodeAtOnce(t, 400) }

// reencodeAtOnce has six senders' file of so many pixels a side made anew, and returns the
// heap's peak (bytes).
func reencodeAtOnce(t *testing.T, side int) int64 {
	t.Helper()
	data := jpegSpec{width: side, height: side, frame: markerSOF0, components: yCbCr444}.file()
	runtime.GC()
	const senders = 6
	return peakHeap(func() {
		ended := make(chan error)
		for range senders {
			go func() {
				_, _, _, _, err := Reencode(data)
				ended <- err
			}()
		}
		for range senders {
			require.NoError(t, <-ended)
		}
	})
}
